"""Series of upstreams: `coredns_proxy_*`, `coredns_forward_*` of today and of before CoreDNS 1.11."""

from collections.abc import Iterator, Mapping

from .exposition import Family, counter, gauge, histogram
from .source import Source

_PROXY = "forward"


def forward_families(source: Source) -> Iterator[Family]:
    """Queries to upstreams and their answers, under the names of CoreDNS today."""
    yield _plain(
        source,
        "coredns_forward_healthcheck_broken_total",
        "Queries sent although every upstream was down.",
        "healthcheck_broken",
    )
    yield _plain(
        source,
        "coredns_forward_max_concurrent_rejects_total",
        "Queries refused because max_concurrent were in flight.",
        "max_concurrent_rejects",
    )
    labels = ("proxy_name", "to")
    durations = histogram(
        "coredns_proxy_request_duration_seconds",
        "Time until an upstream answered.",
        *labels,
        "rcode",
    )
    failures = counter(
        "coredns_proxy_healthcheck_failures_total", "Probes that an upstream failed.", *labels
    )
    hits = counter(
        "coredns_proxy_conn_cache_hits_total",
        "Queries sent on an open connection.",
        *labels,
        "proto",
    )
    misses = counter(
        "coredns_proxy_conn_cache_misses_total",
        "Queries sent on a new connection.",
        *labels,
        "proto",
    )
    for counts in source.upstreams:
        upstream = (_PROXY, counts.to)
        for rcode, counted in counts.duration_by_rcode.items():
            durations.observe_all((*upstream, rcode), counted)
        failures.add(upstream, counts.healthcheck_failures)
        _add_by_transport(hits, upstream, counts.conn_hits)
        _add_by_transport(misses, upstream, counts.conn_misses)
    yield from (durations, failures, hits, misses)


def _plain(source: Source, name: str, text: str, field: str) -> Family:
    family = counter(name, text)
    family.add((), sum(getattr(counts, field) for counts in source.forwarders))
    return family


def _add_by_transport(family: Family, labels: tuple[str, ...], counts: Mapping[str, int]) -> None:
    for transport, count in counts.items():
        family.add((*labels, transport), count)


def old_forward_families(source: Source) -> Iterator[Family]:
    """The same under the names before CoreDNS 1.11, which public dashboards and alerts use."""
    requests = counter("coredns_forward_requests_total", "Queries sent to an upstream.", "to")
    responses = counter("coredns_forward_responses_total", "Answers of an upstream.", "to", "rcode")
    durations = histogram(
        "coredns_forward_request_duration_seconds", "Time until an answer came.", "to", "rcode"
    )
    failures = counter(
        "coredns_forward_healthcheck_failures_total", "Probes that an upstream failed.", "to"
    )
    hits = counter(
        "coredns_forward_conn_cache_hits_total",
        "Queries sent on an open connection.",
        "to",
        "proto",
    )
    misses = counter(
        "coredns_forward_conn_cache_misses_total",
        "Queries sent on a new connection.",
        "to",
        "proto",
    )
    for counts in source.upstreams:
        to = counts.to
        requests.add((to,), 0)
        for rcode, counted in counts.duration_by_rcode.items():
            durations.observe_all((to, rcode), counted)
            answers = sum(counted.buckets)
            responses.add((to, rcode), answers)
            requests.add((to,), answers)
        failures.add((to,), counts.healthcheck_failures)
        _add_by_transport(hits, (to,), counts.conn_hits)
        _add_by_transport(misses, (to,), counts.conn_misses)
    yield from (requests, responses, durations, failures, hits, misses)


# Queries beyond one for each question: field and help text.
_EXTRA_QUERIES = {
    "hedged": "Queries asked a second time because the first was slow.",
    "retried": "Queries asked again because their connection or upstream failed them.",
    "failed_over": "Queries asked of another upstream because of the first one's answer.",
    "failed": "Queries that ended without an answer.",
}


def extra_query_families(source: Source) -> Iterator[Family]:
    """Additional queries of forwarders, and what upstreams did besides answering."""
    for field, text in _EXTRA_QUERIES.items():
        yield _plain(source, f"nodecache_{field}_queries_total", text, field)
    ignored = counter(
        "nodecache_upstream_replies_ignored_total", "Replies that were ignored.", "to", "reason"
    )
    connections = counter(
        "nodecache_upstream_connections_total", "Connections by event.", "to", "event"
    )
    loops = counter(
        "nodecache_upstream_loops_total", "Times that a forwarding loop was found.", "to"
    )
    for counts in source.upstreams:
        ignored.add((counts.to, "unmatched"), counts.unmatched)
        ignored.add((counts.to, "malformed"), counts.malformed)
        connections.add((counts.to, "opened"), counts.connections_opened)
        connections.add((counts.to, "lost"), counts.connections_lost)
        connections.add((counts.to, "silent"), counts.connections_silent)
        loops.add((counts.to,), counts.loops)
    yield from (ignored, connections, loops)


def upstream_state_families(source: Source) -> Iterator[Family]:
    """The state of each upstream now."""
    out = gauge(
        "nodecache_upstream_quarantined", "1 for an upstream that is not asked, else 0.", "to"
    )
    pace = gauge(
        "nodecache_upstream_round_trip_seconds", "Time within which 95 of 100 answers come.", "to"
    )
    waiting = gauge("nodecache_upstream_queries_in_flight", "Queries not yet answered.", "to")
    for state in source.upstream_states:
        to = (state.to,)
        out.values[to] = max(out.values.get(to, 0), int(state.is_quarantined))
        pace.values[to] = max(pace.values.get(to, 0), state.round_trip_seconds)
        waiting.add(to, state.in_flight)
    pods = gauge("nodecache_cluster_dns_pods", "Pods of kube-dns that are known.", "source")
    for origin, count in source.cluster_pods.items():
        pods.add((origin,), count)
    yield from (out, pace, waiting, pods)
