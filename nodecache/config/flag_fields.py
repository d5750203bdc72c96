"""How a flag is declared as a field of `Flags`, and how the values of some are read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from nodecache.corefile import values

Address = IPv4Address | IPv6Address
NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: the field it fills, how its text is read, and what the usage says."""

    name: str
    field: str
    kind: str
    """Of its value, for the usage; "" is a switch, which can stand without one."""
    default: str
    read: Callable[[str], Any]
    help: str


def value_flag(
    name: str, default: str, text: str, kind: str = "string", read: Callable[[str], Any] = str
) -> Any:
    """A field that a flag fills; its value is of some `kind`."""
    return field(metadata={"flag": Flag(name, "", kind, default, read, text)})


def switch(name: str, default: str, text: str) -> Any:
    """A field that a flag fills which is true or false."""
    return value_flag(name, default, text, "", values.boolean)


def addresses(word: str) -> tuple[str, ...]:
    """Address literals parted by commas, blanks around them taken off."""
    if not word.strip():
        return ()
    texts = tuple(text.strip() for text in word.split(","))
    if "" in texts:
        raise ValueError(f"one of the addresses is empty (a comma too many?) in {word!r}")
    for text in texts:
        values.ip(text)
    return texts


def address_list(word: str) -> tuple[Address, ...]:
    """The same, as addresses."""
    return tuple(values.ip(text) for text in addresses(word))


def leased(word: str) -> tuple[Address, ...] | None:
    """Addresses, `none`, or `auto`, which is None."""
    if word in ("", "auto"):
        return None
    return () if word == "none" else address_list(word)


def sync_interval(word: str) -> float:
    """`60`, `60s`, `1m`. The original's unit was lost: its default `60ns` means sixty seconds."""
    seconds = values.go_duration(_with_unit(word))
    if 0 < seconds < 1e-6:
        seconds = float(round(seconds * 1e9))
    if seconds <= 0:
        raise ValueError(f"must be above 0, not {word!r}")
    return seconds


def lease(word: str) -> float:
    """A duration; a number alone is seconds."""
    return values.duration(0)(_with_unit(word))


def _with_unit(word: str) -> str:
    """A number alone is seconds."""
    return f"{word}s" if word.isascii() and word.isdigit() else word


def user(word: str) -> tuple[int, int] | None:
    """`UID`, `UID:GID`, or nothing or `root` to stay who we are."""
    if word in ("", "root", "0"):
        return None
    uid, colon, gid = word.partition(":")
    number = values.whole(0, 2**32 - 2)
    return number(uid), number(gid if colon else uid)
