"""Messages as text that Wireshark reads (text2pcap), for the log of `debug`."""

from typing import Final

_OCTETS_PER_LINE: Final = 16
_PREFIX: Final = "debug: "


def hex_dump(packet: bytes) -> str:
    """`packet` as offsets and octets, every line marked so that it can be picked out of a log."""
    lines = [
        f"{_PREFIX}{start:06x} {packet[start : start + _OCTETS_PER_LINE].hex(' ')}"
        for start in range(0, len(packet), _OCTETS_PER_LINE)
    ]
    return "\n".join([*lines, f"{_PREFIX}{len(packet):06x}"])
