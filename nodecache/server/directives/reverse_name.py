"""Names below in-addr.arpa and ip6.arpa, on the wire, and their addresses: RFC 1035 §3.5, RFC 3596 §2.5."""

IPV4_MAPPED = bytes(10) + b"\xff\xff"
"""How IPv6 addresses begin that are IPv4 ones: RFC 4291 §2.5.5.2."""

_IN_ADDR = b"\x07in-addr\x04arpa\x00"
_IP6 = b"\x03ip6\x04arpa\x00"
_IPV4_LABELS = 4
_IPV6_LABELS = 32


def reverse_name(ipv4: bytes) -> bytes:
    """The name below in-addr.arpa of an IPv4 address, given as its octets."""
    labels = [b"%d" % octet for octet in reversed(ipv4)]
    return b"".join([bytes([len(label)]) + label for label in labels]) + _IN_ADDR


def address_text(qname: bytes) -> str:
    """The text of the address whose reverse name `qname` (in lower case) is, unchecked; "" of another name."""
    if qname.endswith(_IN_ADDR):
        labels = _labels(qname[: -len(_IN_ADDR)])
        return ".".join(reversed(labels)) if len(labels) == _IPV4_LABELS else ""
    if qname.endswith(_IP6):
        labels = _labels(qname[: -len(_IP6)])
        digits = "".join(reversed(labels)) if len(labels) == _IPV6_LABELS else ""
        return ":".join(digits[start : start + 4] for start in range(0, len(digits), 4))
    return ""


def _labels(octets: bytes) -> list[str]:
    labels, offset = [], 0
    while offset < len(octets):
        end = offset + 1 + octets[offset]
        labels.append(octets[offset + 1 : end].decode("latin-1"))
        offset = end
    return labels
