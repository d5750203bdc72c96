"""The metrics page: names, labels and buckets of CoreDNS and node-cache, from plain counts.

The law of this package: nothing is counted here and nothing is kept but what a reload took away.
Others count with plain numbers on their own objects; a scrape reads those through a `Scrape`, names
them, and renders the text in pieces so small that no query waits for a scrape.
"""

from .collector import Collector
from .scrape import AgentNumbers, CacheNumbers, Scrape, UpstreamState
