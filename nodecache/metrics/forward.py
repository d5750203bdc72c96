"""Series of upstreams: `coredns_proxy_*` and `coredns_forward_*`."""

from collections.abc import Iterator, Mapping

from .exposition import Family, counter, gauge, histogram, singles
from .scrape import Scrape


def forward_families(scrape: Scrape) -> Iterator[Family]:
    """Queries to upstreams and their answers, under the names of CoreDNS today and of before 1.11."""
    yield from _totals(
        scrape,
        ("coredns_forward_healthcheck_broken_total", "Queries sent although every upstream was down.", "healthcheck_broken"),
        ("coredns_forward_max_concurrent_rejects_total", "Queries refused because max_concurrent were in flight.", "max_concurrent_rejects"),
    )  # fmt: skip
    yield from _upstream_families(scrape, "coredns_proxy", {"proxy_name": "forward"})
    yield from _upstream_families(scrape, "coredns_forward", {})
    yield from answer_families(
        scrape, "coredns_forward_requests_total", "coredns_forward_responses_total"
    )


def _totals(scrape: Scrape, *rows: tuple[str, str, str]) -> Iterator[Family]:
    """Counts of all forwarders together: rows of name, help text and field."""
    for name, text, field in rows:
        yield from singles((name, text, sum(getattr(each, field) for each in scrape.forwarders)))


def _upstream_families(scrape: Scrape, prefix: str, always: Mapping[str, str]) -> Iterator[Family]:
    """Counts of each upstream under names that begin with `prefix`, with these labels `always`."""
    labels = (*always, "to")
    durations = histogram(
        f"{prefix}_request_duration_seconds", "Time until an upstream answered.", *labels, "rcode"
    )
    failures = counter(
        f"{prefix}_healthcheck_failures_total", "Probes that an upstream failed.", *labels
    )
    hits = counter(
        f"{prefix}_conn_cache_hits_total", "Queries sent on an open connection.", *labels, "proto"
    )
    misses = counter(
        f"{prefix}_conn_cache_misses_total", "Queries sent on a new connection.", *labels, "proto"
    )
    for counts in scrape.upstreams:
        upstream = (*always.values(), counts.to)
        for rcode, counted in counts.duration_by_rcode.items():
            durations.observe_all((*upstream, rcode), counted)
        failures.add(upstream, counts.healthcheck_failures)
        for family, by_transport in (hits, counts.conn_hits), (misses, counts.conn_misses):
            for transport, count in by_transport.items():
                family.add((*upstream, transport), count)
    yield from (durations, failures, hits, misses)


def answer_families(scrape: Scrape, requests_name: str, answers_name: str) -> Iterator[Family]:
    """Queries that upstreams answered, and answers by rcode, under names that CoreDNS had once."""
    requests = counter(requests_name, "Queries sent to an upstream.", "to")
    answers = counter(answers_name, "Answers of an upstream.", "to", "rcode")
    for counts in scrape.upstreams:
        requests.add((counts.to,), 0)
        for rcode, counted in counts.duration_by_rcode.items():
            requests.add((counts.to,), counted.count)
            answers.add((counts.to, rcode), counted.count)
    yield from (requests, answers)


# Queries beyond one for each question: field and help text.
_EXTRA_QUERIES = {
    "hedged": "Queries asked a second time because the first was slow.",
    "retried": "Queries asked again because their connection or upstream failed them.",
    "failed_over": "Queries asked of another upstream because of the first one's answer.",
    "failed": "Queries that ended without an answer.",
}


def extra_query_families(scrape: Scrape) -> Iterator[Family]:
    """Additional queries of forwarders, and what upstreams did besides answering."""
    yield from _totals(
        scrape,
        *(
            (f"nodecache_{field}_queries_total", text, field)
            for field, text in _EXTRA_QUERIES.items()
        ),
    )
    ignored = counter(
        "nodecache_upstream_replies_ignored_total", "Replies that were ignored.", "to", "reason"
    )
    connections = counter(
        "nodecache_upstream_connections_total", "Connections by event.", "to", "event"
    )
    loops = counter(
        "nodecache_upstream_loops_total", "Times that a forwarding loop was found.", "to"
    )
    for counts in scrape.upstreams:
        ignored.add((counts.to, "unmatched"), counts.unmatched)
        ignored.add((counts.to, "malformed"), counts.malformed)
        connections.add((counts.to, "opened"), counts.connections_opened)
        connections.add((counts.to, "lost"), counts.connections_lost)
        connections.add((counts.to, "silent"), counts.connections_silent)
        loops.add((counts.to,), counts.loops)
    yield from (ignored, connections, loops)


def upstream_state_families(scrape: Scrape) -> Iterator[Family]:
    """The state of each upstream now."""
    out = gauge(
        "nodecache_upstream_quarantined", "1 for an upstream that is not asked, else 0.", "to"
    )
    pace = gauge(
        "nodecache_upstream_round_trip_seconds", "Time within which 95 of 100 answers come.", "to"
    )
    waiting = gauge("nodecache_upstream_queries_in_flight", "Queries not yet answered.", "to")
    for state in scrape.upstream_states:
        to = (state.to,)
        out.values[to] = max(out.values.get(to, 0), int(state.is_quarantined))
        pace.values[to] = max(pace.values.get(to, 0), state.round_trip_seconds)
        waiting.add(to, state.in_flight)
    pods = gauge("nodecache_cluster_dns_pods", "Pods of kube-dns that are known.", "source")
    yield from (out, pace, waiting, pods.by_label(scrape.cluster_pods))
