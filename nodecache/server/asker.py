"""Who waits for a reply, and how it gets there."""

from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from nodecache.wire import Query, reply_limit

from .counts import Outcome, ServerCounts


class Transport(Protocol):
    """A way back to clients: a UDP socket, or one TCP connection."""

    name: str
    """`udp` or `tcp`."""

    def send(self, reply: bytes | bytearray, address: Any) -> None:
        """Send a finished reply to the client at `address`; never blocks, never raises."""


@dataclass(slots=True)
class Asker:
    """One client's query, waiting. `address` is the transport's own notion of where to."""

    query: Query
    transport: Transport
    address: Any
    received_at: float

    @property
    def host(self) -> str:
        """The client's address as text, for limits and logs."""
        return str(self.address[0])

    @property
    def family(self) -> str:
        """CoreDNS's label: 1 for IPv4, also where it came mapped into IPv6, else 2."""
        host = self.host
        return "2" if ":" in host and not host.startswith("::ffff:") else "1"

    @property
    def limit(self) -> int:
        """Octets that the client can take."""
        return reply_limit(self.query, is_stream=self.transport.name == "tcp")


def count_reply(
    counts: ServerCounts,
    asker: Asker,
    reply: bytes | bytearray,
    rcode: int,
    written_by: str,
    outcome: Outcome,
) -> tuple[object, ...]:
    """Count one reply and its query's time; the tally, to count its like."""
    query = asker.query
    tally = (
        asker.transport.name,
        asker.family,
        query.qtype,
        rcode,
        len(query.packet),
        len(reply),
        query.has_do,
        written_by,
        outcome,
    )
    counts.count(tally)
    counts.duration.observe(monotonic() - asker.received_at)
    return tally
