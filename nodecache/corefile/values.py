"""Values as Corefiles and flags write them: numbers, durations, sizes, addresses.

Each reader takes one word and returns what it stands for, or raises ValueError with a text that
goes on after the value's name: `must be a whole number, not 'ten'`.
"""

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeVar

T = TypeVar("T")
IpNetwork = IPv4Network | IPv6Network
Reader = Callable[[str], T]

_MAX_INTEGER = 2**63 - 1
_MAX_NANOSECONDS = 2**63 - 1
_PATTERN_MAX_OCTETS = 10_000  # CoreDNS's own bound

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, micro
    "μs": 1_000,  # U+03BC, mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_SIZE = re.compile(r"([0-9]{1,18})([KMGT]i?)?B?", re.IGNORECASE)
_SIZE_UNITS = {"": 1}
_SIZE_UNITS |= {f"{letter}": 1000**power for power, letter in enumerate("kmgt", start=1)}
_SIZE_UNITS |= {f"{letter}i": 1024**power for power, letter in enumerate("kmgt", start=1)}


def fits(read: Reader[object], word: str) -> bool:
    """Whether `read` takes the word."""
    try:
        read(word)
    except ValueError:
        return False
    return True


def integer(word: str) -> int:
    """A whole number with or without a sign, as Go's strconv.Atoi takes it."""
    if not _INTEGER.fullmatch(word) or abs(int(word)) > _MAX_INTEGER:
        raise ValueError(f"must be a whole number, not {word!r}")
    return int(word)


def whole(lowest: int, highest: int = _MAX_INTEGER) -> Reader[int]:
    """A whole number from `lowest` to `highest`."""
    wanted = f"of {lowest} or more"
    if highest != _MAX_INTEGER:
        wanted = f"from {lowest} to {highest}"

    def read(word: str) -> int:
        if not _INTEGER.fullmatch(word) or not lowest <= int(word) <= highest:
            raise ValueError(f"must be a whole number {wanted}, not {word!r}")
        return int(word)

    return read


def go_duration(word: str) -> float:
    """Seconds of a duration as Go's time.ParseDuration takes it: `300ms`, `1h20m`, `-1.5s`, `0`."""
    sign, unsigned = (-1, word[1:]) if word.startswith("-") else (1, word.removeprefix("+"))
    if unsigned == "0":
        return 0.0
    parts = _DURATION_PART.findall(unsigned)
    if "".join(number + unit for number, unit in parts) != unsigned or not parts:
        raise ValueError(f"must be a duration such as 30s or 1m30s, not {word!r}")
    nanoseconds = sum(_nanoseconds(number, _NANOSECONDS[unit]) for number, unit in parts)
    if nanoseconds > _MAX_NANOSECONDS:
        raise ValueError(f"must be a duration below 292 years, not {word!r}")
    return sign * nanoseconds / 1e9


def _nanoseconds(number: str, unit: int) -> int:
    """`1.5` of a unit, what is less than a nanosecond cut off."""
    before, _, after = number.partition(".")
    return int(before or "0") * unit + int(after or "0") * unit // int("1" + "0" * len(after))


def duration(lowest: float = 0.0, highest: float | None = None) -> Reader[float]:
    """Seconds of a Go duration between two bounds, in seconds."""

    def read(word: str) -> float:
        seconds = go_duration(word)
        if seconds < lowest:
            raise ValueError(f"must be at least {show_seconds(lowest)}, not {word!r}")
        if highest is not None and seconds > highest:
            raise ValueError(f"must be at most {show_seconds(highest)}, not {word!r}")
        return seconds

    return read


def positive_duration(word: str) -> float:
    """Seconds of a Go duration above zero."""
    seconds = go_duration(word)
    if seconds <= 0:
        raise ValueError(f"must be above 0, not {word!r}")
    return seconds


def show_seconds(seconds: float) -> str:
    """A duration for people: `5m`, `24h`, `0.5s`, `0s`."""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s" if seconds % 1 == 0 else f"{seconds:g}s"


def octets(word: str) -> int:
    """A size above zero: `67108864`, `64M`, `64Mi` (Kubernetes's units)."""
    match = _SIZE.fullmatch(word)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"must be a size such as 64Mi, not {word!r}")
    return int(match[1]) * _SIZE_UNITS[(match[2] or "").lower()]


def one_of(*choices: str) -> Reader[str]:
    """One of some words, in any case."""
    wanted = " or ".join(choices) if len(choices) < 3 else "one of " + ", ".join(choices)

    def read(word: str) -> str:
        if word.lower() not in choices:
            raise ValueError(f"must be {wanted}, not {word!r}")
        return word.lower()

    return read


def on_or_off(word: str) -> bool:
    """`on` or `off`."""
    return one_of("on", "off")(word) == "on"


def boolean(word: str) -> bool:
    """A truth value as Go's strconv.ParseBool takes it."""
    if word in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if word in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ValueError(f"must be true or false, not {word!r}")


def ip(word: str) -> IPv4Address | IPv6Address:
    """An address literal without a scope, as Go's net.ParseIP takes it."""
    try:
        address = ip_address(word)
    except ValueError:
        raise ValueError(f"must be an IP address, not {word!r}") from None
    if getattr(address, "scope_id", None) is not None:
        raise ValueError(f"must be an IP address without a scope, not {word!r}")
    return address


def is_ip(word: str) -> bool:
    """Whether `word` is an address literal; a scope (`fe80::1%eth0`) may follow it."""
    return fits(ip, word.rpartition("%")[0] or word)


def network(word: str) -> IpNetwork:
    """A network in CIDR notation; bits past the prefix do not matter."""
    try:
        address, prefix = word.split("/")
        return ip_network((str(ip(address)), int(prefix)), strict=False)
    except ValueError:
        raise ValueError(
            f"must be a network in CIDR notation such as 10.0.0.0/8, not {word!r}"
        ) from None


def split_host_port(word: str) -> tuple[str, str]:
    """Both halves of `host:port` or `[host]:port`, as Go's net.SplitHostPort cuts them."""
    host, colon, port = word.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        inner = host[1:-1]
        is_sound = bool(colon) and not set("[]") & set(inner + port)
    else:
        inner = host
        is_sound = bool(colon) and not set("[]:") & set(host) and not set("[]") & set(port)
    if not is_sound:
        raise ValueError(f"must be HOST:PORT, not {word!r}")
    return inner, port


def host_port(word: str) -> str:
    """`host:port`, kept as written; the host may be empty."""
    split_host_port(word)
    return word


def port(word: str) -> int:
    """A port number from 1 to 65535."""
    return whole(1, 65535)(word)


def pattern(word: str) -> str:
    """RE2 text, compiled once to see that it is sound; at most 10,000 octets."""
    import re2  # noqa: PLC0415 - only the Corefiles that have patterns pay for it

    size = len(word.encode())
    if size > _PATTERN_MAX_OCTETS:
        raise ValueError(f"must be at most {_PATTERN_MAX_OCTETS} octets long, not {size}")
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(word, options)
    except re2.error as error:
        why = error.args[0].decode() if isinstance(error.args[0], bytes) else error.args[0]
        raise ValueError(f"must be a regular expression (RE2), not {word!r}: {why}") from None
    return word


def groups(word: str) -> int:
    """How many groups a sound RE2 pattern captures."""
    import re2  # noqa: PLC0415

    return int(re2.compile(word).groups)


def hint(word: str, known: Iterable[str]) -> str:
    """`; is 'success' meant?` where a known word is near."""
    import difflib  # noqa: PLC0415 - 200 KiB that a file without a mistake does without

    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; is {near[0]!r} meant?" if near else ""
