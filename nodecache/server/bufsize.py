"""`bufsize`: a lower limit on what clients may claim to take over UDP."""

from nodecache.wire import Query

from .chain import Client


class Bufsize:
    """Lowers a client's EDNS payload size to `octets`, for our reply and for upstream's answer.

    It never raises a size, and does nothing for clients without EDNS.
    """

    name = "bufsize"

    def __init__(self, octets: int) -> None:
        self.octets = octets

    def visit(self, query: Query, client: Client) -> None:  # noqa: ARG002 (anyone's)
        """Lower the size in place: `reply_limit` and the forwarder look at it later."""
        query.payload_size = min(query.payload_size, self.octets)  # 0 stays: there is no OPT
