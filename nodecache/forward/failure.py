"""The outcome of a query to which no upstream gave an answer."""

from dataclasses import dataclass

from nodecache.wire import Ede, Rcode


@dataclass(slots=True)
class Failure:
    """No answer, and why.

    The client gets `rcode` with the Extended DNS Error `ede_code` and `ede_text` (RFC 8914).
    `reason` is for the operator, in the words of Go's network library: the `consolidate`
    patterns in people's Corefiles match them.
    """

    rcode: int
    ede_code: int
    ede_text: bytes
    reason: str
    is_decided: bool = False
    """A decision made here: it costs nothing to make again, and so is not remembered."""


def unanswered(to: str, reason: str) -> Failure:
    """No upstream answered before the deadline; `to` is the last one asked."""
    text = f"{to} did not answer in time"
    return Failure(Rcode.SERVFAIL, Ede.NO_REACHABLE_AUTHORITY, text.encode(), reason)


def timed_out(to: str, protocol: str, path: str) -> Failure:
    """The same with Go's wording; `path` is both ends of the connection, empty where there was none."""
    reason = f"read {protocol} {path}" if path else f"dial {protocol} {to}"
    return unanswered(to, f"{reason}: i/o timeout")


def unreachable(reason: str) -> Failure:
    """Every attempt failed, by the network or by what the upstream sent."""
    return Failure(Rcode.SERVFAIL, Ede.NETWORK_ERROR, reason.encode(), reason)


def no_upstream(reason: str) -> Failure:
    """There is no upstream to ask: none is configured, all are down, or all are loops."""
    return Failure(Rcode.SERVFAIL, Ede.NO_REACHABLE_AUTHORITY, reason.encode(), reason)


def too_many(limit: int) -> Failure:
    """`max_concurrent` is reached; CoreDNS answers REFUSED."""
    reason = f"concurrent queries exceeded maximum {limit}"
    return Failure(Rcode.REFUSED, Ede.OTHER, reason.encode(), reason, is_decided=True)


def error_text(error: Exception | None) -> str:
    """What went wrong, in Go's words for the usual cases: lower case, without the number."""
    if error is None:
        return "EOF"
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
