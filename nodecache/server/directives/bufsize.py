"""`bufsize`: a lower limit on what clients may claim to take over UDP."""

from nodecache.wire import Query


def lower_payload_size(query: Query, octets: int) -> None:
    """Let the client claim no more than `octets` in its EDNS; never raises a claim, or makes one.

    In place: the limit on our reply and the forwarder look at the size later.
    """
    query.payload_size = min(query.payload_size, octets)  # 0 stays: there is no OPT
