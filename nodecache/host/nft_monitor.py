"""The kernel's notifications about changes of nftables (as `nft monitor` shows them).

Only the type of a message and the first two names in it are read.
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
class Changes:
    """Whether our own table changed, or chains in which our accept rules are or may be needed."""

    is_table: bool = False
    is_foreign: bool = False


class NftMonitor(socket.socket):
    """A netlink socket for these notifications. OSError when the kernel has no nftables."""

    def __init__(self) -> None:
        super().__init__(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.bind((0, 0))
        self.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        self.setblocking(False)

    def changes(self, table: str, watched: WatchedChains) -> Changes:
        """Read all waiting notifications. If some were lost (a full buffer), all may have changed."""
        changes = Changes()
        while True:
            try:
                octets = self.recv(1 << 18)
            except BlockingIOError:
                return changes
            except OSError:  # ENOBUFS
                changes.is_table = changes.is_foreign = True
                continue
            for message, kind, _ in messages(octets):
                note(message, kind, table, watched, changes)


def note(message: bytes, kind: int, table: str, watched: WatchedChains, changes: Changes) -> None:
    """Note in `changes` what one message means for `table` (ours) and the `watched` chains."""
    if kind >> 8 != NFNL_SUBSYS_NFTABLES:
        return
    change = kind & 0xFF
    attributes = dict(_attributes(message))
    its_table = _text(attributes.get(1))  # NFTA_*_TABLE, and NFTA_TABLE_NAME, are all 1
    if its_table == table:
        changes.is_table = True
    elif change == NFT_MSG_DELTABLE:
        changes.is_foreign |= any(its_table == name for name, _ in watched)
    elif change in _CHANGES_PER_CHAIN:
        name_at = 3 if change in {NFT_MSG_NEWCHAIN, NFT_MSG_DELCHAIN} else 2
        is_base = change == NFT_MSG_NEWCHAIN and NFTA_CHAIN_HOOK in attributes
        changes.is_foreign |= is_base or (its_table, _text(attributes.get(name_at))) in watched


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
