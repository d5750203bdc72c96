"""Series of the agent as a whole: build, panics, reloads, health, load."""

import sys
from collections.abc import Iterator

from nodecache.process.build import code_form

from .exposition import Family, counter, gauge, histogram, singles
from .scrape import AgentNumbers


def agent_families(agent: AgentNumbers, version: str) -> Iterator[Family]:
    """CoreDNS's series about itself, as far as they apply here."""
    build = gauge(
        "coredns_build_info",
        "Always 1; `goversion` names the interpreter, since there is no Go.",
        *("version", "revision", "goversion"),
    )
    python = f"python{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    build.add((version, "", python), 1)
    yield build
    yield from singles(
        ("coredns_panics_total", "Queries that ended in an unexpected exception.", agent.panics),
        ("coredns_reload_failed_total", "Corefiles that could not be put in force.", agent.reload_failures),
    )  # fmt: skip
    running = gauge("coredns_reload_version_info", "Hash of the Corefile in use.", "hash", "value")
    if agent.config_hash:
        running.add(("sha512", agent.config_hash), 1)
    yield running
    yield from _health_families(agent)
    yield from _page_families(agent)


def _health_families(agent: AgentNumbers) -> Iterator[Family]:
    durations = histogram(
        "coredns_health_request_duration_seconds", "Time the agent took to answer its own /health."
    )
    if agent.health_duration:
        durations.observe_all((), agent.health_duration)
    yield durations
    yield from singles(
        ("coredns_health_request_failures_total", "Times the agent did not answer its own /health.", agent.health_failures),
    )  # fmt: skip


def _page_families(agent: AgentNumbers) -> Iterator[Family]:
    pages = counter(
        "promhttp_metric_handler_requests_total", "Metrics pages served, by HTTP status.", "code"
    )
    for status in (200, 500, 503):
        pages.add((str(status),), agent.pages.get(status, 0))
    yield pages
    yield from singles(
        ("promhttp_metric_handler_requests_in_flight", "Metrics pages that are being made.", agent.pages_in_flight),
    )  # fmt: skip


def load_families(agent: AgentNumbers) -> Iterator[Family]:
    """Series that the original does not have."""
    build = gauge(
        "nodecache_build_info",
        "Always 1; `code` is what serves queries: compiled or interpreted.",
        "code",
    )
    build.add((code_form(),), 1)
    yield build
    yield from singles(
        ("nodecache_tasks", "Tasks of the event loop.", agent.tasks),
        ("nodecache_queries_in_flight", "Queries waiting for an upstream.", agent.queries_in_flight),
        ("nodecache_queries_shed_total", "Queries refused because too many waited.", agent.queries_shed),
        ("nodecache_coalesced_queries_total", "Misses that joined an equal query already in flight.", agent.queries_coalesced),
        ("nodecache_ahead_queries_total", "Questions asked upstream before their client did.", agent.ahead_asked),
        ("nodecache_ahead_queries_used_total", "Questions asked ahead that their client asked then.", agent.ahead_used),
        ("nodecache_ahead_queries_unused_total", "Questions asked ahead that their client did not ask.", agent.ahead_unused),
        ("nodecache_log_lines_lost_total", "Log lines that nobody read in time.", agent.log_lines_lost),
        ("nodecache_config_last_reload_successful", "Whether today's Corefile is in use.", agent.is_last_reload_good),
        ("nodecache_config_is_last_known_good", "Whether the last Corefile that worked serves instead.", agent.is_config_last_good),
        ("nodecache_config_loaded_timestamp_seconds", "When the Corefile in use was loaded.", agent.config_loaded_at),
    )  # fmt: skip
