"""Names that CoreDNS dropped with 1.7.0 and node-cache later, which some dashboards still use.

A public mixin takes its list of instances from `coredns_dns_request_count_total`, and a widely
copied dashboard asks `old or new`; both see the same numbers under either name.
"""

from collections.abc import Iterator

from .dns import type_label
from .exposition import Family, counter, gauge, singles
from .forward import answer_families
from .scrape import Scrape


def before_1_7_families(scrape: Scrape) -> Iterator[Family]:
    """The old counters of queries, replies, cache entries and panics."""
    requests = counter(
        "coredns_dns_request_count_total", "Queries.", "server", "zone", "proto", "family"
    )
    types = counter("coredns_dns_request_type_count_total", "Queries.", "server", "zone", "type")
    wanting = counter("coredns_dns_request_do_count_total", "Queries with DO.", "server", "zone")
    rcodes = counter(
        "coredns_dns_response_rcode_count_total", "Replies.", "server", "zone", "rcode"
    )
    for counts in scrape.servers:
        zone = (counts.server, counts.zone)
        wanting.add(zone, counts.do_requests)
        for (transport, family, qtype), count in counts.requests.items():
            requests.add((*zone, transport, family), count)
            types.add((*zone, type_label(qtype)), count)
        for (rcode, _), count in counts.responses.items():
            rcodes.add((*zone, rcode), count)
    yield from (requests, types, wanting, rcodes)
    size = gauge("coredns_cache_size", "Answers kept.", "server", "type")
    for numbers in scrape.caches:
        size.add((numbers.server, "success"), numbers.success_entries)
        size.add((numbers.server, "denial"), numbers.denial_entries)
    yield size
    yield from answer_families(
        scrape, "coredns_forward_request_count_total", "coredns_forward_response_rcode_count_total"
    )
    yield from singles(
        ("coredns_panic_count_total", "Queries that ended in an unexpected exception.", scrape.agent.panics),
    )  # fmt: skip


def old_setup_errors(errors: Family) -> Family:
    """The original's errors under their name without `_total`, which no counter may have today."""
    old = Family("coredns_nodecache_setup_errors", "untyped", errors.help, errors.label_names)
    old.values = errors.values
    return old
