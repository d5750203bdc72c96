"""Which upstream a forwarder would ask now, and why."""

from collections.abc import Sequence
from typing import Any

from nodecache.forward import BALANCED, Forwarder, Standing, Upstream

_WHY = {
    Standing.GOOD: "it answers",
    Standing.LAME: "it answered with failures only of late",
    Standing.SUSPECT: "it owes answers and says nothing",
    Standing.DOWN: "its health checks fail",
    Standing.LOOPING: "it leads back to this server",
}


def destination(forwarder: Forwarder, now: float) -> dict[str, Any]:
    """The upstreams with their health, those of them that the next query may go to, and why."""
    settings = forwarder.settings
    upstreams = list(forwarder.upstreams)
    chosen, because = _chosen(forwarder, upstreams, now)
    return {
        "from": settings.from_zone,
        "policy": settings.policy,
        "in_flight": forwarder.in_flight,
        "max_concurrent": settings.max_concurrent,
        "asked": [each.to for each in chosen],
        "because": because,
        "upstreams": [
            {
                "to": each.to,
                "is_pod": each.endpoint.is_pod,
                "protocol": _protocol(each),
                "standing": each.health.standing(now).name.lower(),
                "in_flight": each.in_flight,
                "milliseconds": milliseconds(each),
            }
            for each in upstreams
        ],
    }


def _chosen(  # noqa: PLR0911 - each case has words of its own
    forwarder: Forwarder, upstreams: Sequence[Upstream], now: float
) -> tuple[list[Upstream], str]:
    """Those that the next query may go to first."""
    settings = forwarder.settings
    if not upstreams:
        return [], "there is no upstream: SERVFAIL"
    if settings.max_concurrent and forwarder.in_flight >= settings.max_concurrent:
        return [], f"max_concurrent {settings.max_concurrent} is reached: REFUSED"
    is_balanced = settings.policy == BALANCED
    if is_balanced and len(upstreams) > 1:
        pods = _of_standing(upstreams[:-1], Standing.GOOD, now)
        if not pods:
            return [upstreams[-1]], f"no pod of kube-dns is well: the Service, {upstreams[-1].to}"
        return pods, f"the less busy of two of kube-dns' pods drawn from {_names(pods)}"
    best = min(each.health.standing(now) for each in upstreams)
    equals = _of_standing(upstreams, best, now)
    if best is Standing.LOOPING:
        return [], "every upstream leads back to this server: SERVFAIL"
    if best is Standing.DOWN and settings.fails_fast:
        return [], "health checks of every upstream fail, and failfast is on: SERVFAIL"
    if len(upstreams) == 1:
        return equals, f"{equals[0].to} is the only upstream, and {_WHY[best]}"
    if settings.policy == "sequential":
        return equals[:1], f"{equals[0].to} is the first of which this holds: {_WHY[best]}"
    which = "the next in turn" if settings.policy == "round_robin" else "any one"
    return equals, f"{which} of {_names(equals)}: {_WHY[best]}"


def _of_standing(upstreams: Sequence[Upstream], standing: Standing, now: float) -> list[Upstream]:
    return [each for each in upstreams if each.health.standing(now) is standing]


def _names(upstreams: Sequence[Upstream]) -> str:
    return ", ".join(each.to for each in upstreams)


def _protocol(upstream: Upstream) -> str:
    if upstream.endpoint.is_tls:
        return upstream.endpoint.scheme
    return "tcp" if upstream.is_stream_only else "udp"


def milliseconds(upstream: Upstream) -> float | None:
    """The time within which 95 of 100 answers come; None before that is known."""
    return round(1000 * upstream.round_trip_seconds, 2) if upstream.pace.is_known else None
