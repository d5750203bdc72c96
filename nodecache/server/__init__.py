"""Clients' queries, from the socket to the reply.

The law of this package: a hit never awaits and starts no task. Only the socket callbacks here
read the clock; what they call is told `now` (monotonic seconds). Counting is plain integers.
"""

from .chain import Chain, ChainCounts
from .counts import Outcome, ServerCounts
from .directive import Client, Lookup, OnOutcome, PendingLookup, no_forward
from .directives.build import Directives, Refreshable, check, open_directives
from .directives.counts import DirectiveCounts
from .directives.errors import ErrorLog
from .directives.hosts import read_hosts_files
from .directives.hosts_file import HostsFile
from .handler import Handler
from .journal import Journal
from .limiter import InflightLimiter
from .policy import StalePolicy, ZoneOptions
from .replies import ReplyBudget, ZoneBinding
from .router import Zones
from .search_ahead import SearchAhead
from .source import ChainSource, ForwardSource, Source, forward_lookup
from .tcp import TcpListener
from .tcp_connection import TcpLimits
from .udp import UdpListener, WildcardUdpListener
from .zone import Zone
