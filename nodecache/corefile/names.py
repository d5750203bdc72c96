"""Zone names and the keys of server blocks: `example.org`, `.:5353`, `tls://a.`, `10.0.0.0/24`."""

import re

from .options import ZoneKey
from .values import fits, ip, network

_DEFAULT_PORTS = {"tls": 853}
_SCHEMES = ("dns", "tls")
_UNSERVED_SCHEMES = ("quic", "grpc", "https", "https3")
_NAME_MAX_OCTETS = 255  # RFC 1035 §3.1, the root's label included
_LABEL_MAX_OCTETS = 63  # RFC 1035 §2.3.4
_ESCAPE = re.compile(r"\\([01]\d\d|2[0-4]\d|25[0-5]|[ -/:-~])", re.ASCII)  # RFC 1035 §5.1


class UnservedKey(ValueError):
    """The key of a block that nodecache does not serve; other blocks are served."""


def zone_name(word: str) -> str:
    """A domain name, made absolute and lower-cased."""
    absolute = word if word.endswith(".") and not word.endswith("\\.") else f"{word}."
    if not word or not is_domain_name(absolute):
        raise ValueError(f"must be a domain name, not {word!r}")
    return absolute.lower()


def is_domain_name(absolute: str) -> bool:
    r"""Whether every label of `absolute` (with its last dot) and the whole have sizes of RFC 1035.

    `\.` is a dot inside a label and `\DDD` an octet by its number, as in zone files. What is not ASCII
    stands for its octets in UTF-8.
    """
    if absolute == ".":
        return True
    plain = _ESCAPE.sub("x", absolute)
    sizes = [len(label.encode()) for label in plain.split(".")[:-1]]
    return (
        plain.isprintable()
        and "\\" not in plain
        and all(0 < size <= _LABEL_MAX_OCTETS for size in sizes)
        and sum(sizes) + len(sizes) + 1 <= _NAME_MAX_OCTETS
    )


def zone_names(word: str) -> tuple[str, ...]:
    """The zones one word stands for: one name, or the reverse zones of a network.

    A scheme before it and a port behind it are allowed and of no meaning, as in CoreDNS.
    """
    return _zones(_split_port(_split_scheme(word)[1])[0])


def zone_keys(word: str, default_port: int) -> tuple[ZoneKey, ...]:
    """The keys one word of a server block's head stands for."""
    scheme, rest = _split_scheme(word)
    if scheme in _UNSERVED_SCHEMES:
        raise UnservedKey(f"must be served over dns:// or tls://, not {word!r}")
    if rest.endswith(":"):
        raise ValueError(f"must have a port after the last colon, not {word!r}")
    zone, port = _split_port(rest)
    if not zone.isprintable():
        raise UnservedKey(f"must be a name that can be asked for, not {word!r}")
    if port is not None and not 0 < port <= 65535:
        raise UnservedKey(f"must have a port from 1 to 65535, not {word!r}")
    if port is None:
        port = _DEFAULT_PORTS.get(scheme, default_port)
    written = "" if zone == zone.lower() else zone.removesuffix(".")
    return tuple(ZoneKey(name, port, scheme, written) for name in _zones(zone))


def _split_scheme(word: str) -> tuple[str, str]:
    scheme, separator, rest = word.partition("://")
    if separator and scheme in _SCHEMES + _UNSERVED_SCHEMES:
        return scheme, rest
    return "dns", word


def _split_port(word: str) -> tuple[str, int | None]:
    """A number after the last colon is a port: names have no colons, and a network ends in /N."""
    zone, colon, number = word.rpartition(":")
    if colon and number.isascii() and number.isdigit():
        return zone, int(number)
    return word, None


def _zones(word: str) -> tuple[str, ...]:
    address, slash, _ = word.rpartition("/")
    if not slash or not fits(ip, address):
        return (zone_name(word),)
    try:
        return reverse_zones(word)
    except ValueError as error:  # for CoreDNS a name, which nobody asks for
        raise UnservedKey(str(error)) from None


def reverse_zones(word: str) -> tuple[str, ...]:
    """The zones in-addr.arpa or ip6.arpa has for a network, several where it ends within a label.

    >>> reverse_zones("10.0.0.0/15")
    ('0.10.in-addr.arpa.', '1.10.in-addr.arpa.')
    """
    whole = network(word)
    bits = 8 if whole.version == 4 else 4
    boundary = -(-whole.prefixlen // bits) * bits
    kept = boundary // bits
    names = []
    for part in whole.subnets(new_prefix=boundary):
        labels = part.network_address.reverse_pointer.split(".")
        names.append(".".join([*labels[-2 - kept : -2], *labels[-2:]]) + ".")
    return tuple(names)
