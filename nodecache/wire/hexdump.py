"""Messages as text that Wireshark's text2pcap reads, for the log of `debug`."""

from typing import Final

_OCTETS_PER_LINE: Final = 16
_PREFIX: Final = "debug: "


def hex_dump(packet: bytes) -> str:
    """`packet` as lines of offset and octets, each with a mark to grep for."""
    lines = [
        f"{_PREFIX}{start:06x} {packet[start : start + _OCTETS_PER_LINE].hex(' ')}"
        for start in range(0, len(packet), _OCTETS_PER_LINE)
    ]
    return "\n".join([*lines, f"{_PREFIX}{len(packet):06x}"])
