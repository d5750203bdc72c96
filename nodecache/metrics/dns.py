"""Series of queries and replies, `coredns_dns_*`, and of the directives that make replies."""

from collections.abc import Iterator

from nodecache.server import DirectiveCounts
from nodecache.server.counts import OTHER_TYPE
from nodecache.server.mnemonics import type_text

from .exposition import Family, counter, gauge, histogram, singles
from .scrape import Scrape

_ZONE = ("server", "zone", "view")


def type_label(qtype: int) -> str:
    """The `type` label of a query; rare types share one, which bounds the number of series."""
    return "other" if qtype == OTHER_TYPE else type_text(qtype)


def dns_families(scrape: Scrape) -> Iterator[Family]:
    """Queries and replies of every zone."""
    requests = counter(
        "coredns_dns_requests_total", "Queries received.", *_ZONE, "proto", "family", "type"
    )
    responses_text = "Replies sent, by the directive that made them."
    responses = counter("coredns_dns_responses_total", responses_text, *_ZONE, "rcode", "plugin")
    durations = histogram(
        "coredns_dns_request_duration_seconds", "Time from query to reply.", *_ZONE
    )
    sizes = histogram("coredns_dns_request_size_bytes", "Octets of queries.", *_ZONE, "proto")
    reply_sizes = histogram(
        "coredns_dns_response_size_bytes", "Octets of replies as they were sent.", *_ZONE, "proto"
    )
    wanting = counter("coredns_dns_do_requests_total", "Queries with the DO bit set.", *_ZONE)
    for counts in scrape.servers:
        zone = (counts.server, counts.zone, counts.view)
        for (transport, family, qtype), count in counts.requests.items():
            requests.add((*zone, transport, family, type_label(qtype)), count)
        for (rcode, directive), count in counts.responses.items():
            responses.add((*zone, rcode, directive), count)
        # Before the first observation there is nothing to show, as in CoreDNS: an average of none
        # is a line of NaN in every panel of latency.
        if any(counts.duration.buckets):
            durations.observe_all(zone, counts.duration)
        for transport, counted in counts.request_size.items():
            sizes.observe_all((*zone, transport), counted)
        for transport, counted in counts.response_size.items():
            reply_sizes.observe_all((*zone, transport), counted)
        wanting.add(zone, counts.do_requests)
    yield from (requests, responses, durations, sizes, reply_sizes, wanting)
    enabled = gauge(
        "coredns_plugin_enabled", "Directives in use, by server and zone.", *_ZONE, "name"
    )
    for server, zone_name, directive in scrape.plugins:
        enabled.values[server, zone_name, "", directive] = 1
    yield enabled


def directive_families(scrape: Scrape) -> Iterator[Family]:
    """Counts of the other directives; most have no series until they are used."""
    counts = scrape.directives
    of_query = (*_ZONE, "class", "type")
    of_record = (*of_query, "section", "template")
    matches = counter(
        "coredns_template_matches_total", "Queries answered by a template.", *of_query
    )
    text = "Templates that could not be filled in."
    failures = counter("coredns_template_template_failures_total", text, *of_record)
    text = "Filled-in templates that are no record."
    rr_failures = counter("coredns_template_rr_failures_total", text, *of_record)
    matches.values.update(counts.template_matches)
    failures.values.update(counts.template_failures)
    rr_failures.values.update(counts.template_rr_failures)
    yield from (matches, failures, rr_failures)
    yield counter(
        "coredns_dns64_requests_translated_total", "AAAA answers made from A records.", "server"
    ).by_label(counts.dns64_translated)
    yield from _acl_families(counts)
    yield from _hosts_families(scrape)


# What becomes of a query → the word that the series has for it (plugin/acl of CoreDNS).
_ACL_WORDS = {"block": "blocked", "filter": "filtered", "drop": "dropped"}


def _acl_families(counts: DirectiveCounts) -> Iterator[Family]:
    allowed = counter(
        "coredns_acl_allowed_requests_total", "Queries that acl allowed.", "server", "view"
    )
    others = {
        action: counter(f"coredns_acl_{word}_requests_total", f"Queries that acl {word}.", *_ZONE)
        for action, word in _ACL_WORDS.items()
    }
    for (action, server, zone), count in counts.acl.items():
        if action == "allow":
            allowed.add((server, ""), count)
        else:
            others[action].add((server, zone, ""), count)
    yield allowed
    yield from others.values()


def _hosts_families(scrape: Scrape) -> Iterator[Family]:
    entries = gauge("coredns_hosts_entries", "Names and addresses held by hosts.", "hostsfile")
    yield entries.by_label(scrape.hosts_entries)
    yield from singles(
        ("coredns_hosts_reload_timestamp_seconds", "When a hosts file was last read.", scrape.hosts_reloaded_at),
    )  # fmt: skip
