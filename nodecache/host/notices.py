"""What the kernel tells when somebody changes nftables, judged by whether it concerns us.

The messages are read only as far as needed: their type, and the first two names in them.
"""

import socket
import struct
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from .netlink import messages

NETLINK_NETFILTER = 12
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
NFNLGRP_NFTABLES = 7  # linux/netfilter/nfnetlink.h
NFNL_SUBSYS_NFTABLES = 10
NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE = 2, 3, 6
NFT_MSG_DELCHAIN, NFT_MSG_DELRULE = 5, 8
NFTA_CHAIN_HOOK = 4  # only a base chain has one
_CHANGES_PER_CHAIN = {NFT_MSG_NEWCHAIN, NFT_MSG_DELCHAIN, NFT_MSG_NEWRULE, NFT_MSG_DELRULE}

_BODY = 20  # nlmsghdr (16) and nfgenmsg (4)
_ATTRIBUTE = struct.Struct("=HH")  # size, type

WatchedChains = AbstractSet[tuple[str, str]]


@dataclass(slots=True)
class Concern:
    """Whether our own table, or chains in which our accept rules are or may be needed, changed."""

    is_table: bool = False
    is_foreign: bool = False


class NftNotices:
    """The kernel's notices about nftables. OSError when this kernel has none to give."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._socket.bind((0, 0))
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """The socket to poll."""
        return self._socket.fileno()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def concern(self, table: str, watched: WatchedChains) -> Concern:
        """Read all waiting notices. Lost ones (a full buffer) concern everything."""
        concern = Concern()
        while True:
            try:
                octets = self._socket.recv(1 << 18)
            except BlockingIOError:
                return concern
            except OSError:  # ENOBUFS
                concern.is_table = concern.is_foreign = True
                continue
            for message, kind, _ in messages(octets):
                judge(message, kind, table, watched, concern)


def judge(message: bytes, kind: int, table: str, watched: WatchedChains, concern: Concern) -> None:
    """Note in `concern` what one message means for `table` (ours) and the `watched` chains."""
    if kind >> 8 != NFNL_SUBSYS_NFTABLES:
        return
    change = kind & 0xFF
    attributes = dict(_attributes(message))
    its_table = _text(attributes.get(1))  # NFTA_*_TABLE, and NFTA_TABLE_NAME, are all 1
    if its_table == table:
        concern.is_table = True
    elif change == NFT_MSG_DELTABLE:
        concern.is_foreign |= any(its_table == name for name, _ in watched)
    elif change in _CHANGES_PER_CHAIN:
        name_at = 3 if change in {NFT_MSG_NEWCHAIN, NFT_MSG_DELCHAIN} else 2
        is_base = change == NFT_MSG_NEWCHAIN and NFTA_CHAIN_HOOK in attributes
        concern.is_foreign |= is_base or (its_table, _text(attributes.get(name_at))) in watched


def _attributes(message: bytes) -> Iterator[tuple[int, bytes]]:
    offset = _BODY
    while offset + _ATTRIBUTE.size <= len(message):
        size, kind = _ATTRIBUTE.unpack_from(message, offset)
        if size < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, message[offset + _ATTRIBUTE.size : offset + size]
        offset += (size + 3) & ~3


def _text(octets: bytes | None) -> str:
    return (octets or b"").partition(b"\0")[0].decode(errors="replace")
