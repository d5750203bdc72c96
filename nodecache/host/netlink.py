"""Links and addresses through the kernel's routing netlink, without an event loop.

pyroute2 writes and reads the messages; the socket is ours, because its own run an asyncio loop
inside, which a process that forks workers must not have. Any import from the package runs its
`__init__`, which imports all of it: 9.7 MiB and 53 ms, a quarter of what an idle agent takes. The
two message types used here are 1.2 MiB and 9 ms. So `__init__` is passed by, and pyroute2 is
pinned to the versions whose submodules are known to stand alone.

Every call is one request answered by the kernel in the same system call: it waits for nothing
but the kernel's own lock on links, and gives up after TIMEOUT_SECONDS.
"""

import contextlib
import importlib
import importlib.util
import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from types import ModuleType
from typing import Any

from .options import Address

TIMEOUT_SECONDS = 1.0
FOR_EVER = 0xFFFFFFFF  # INFINITY_LIFE_TIME

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
IFA_F_NODAD = 0x02
IFF_UP = 0x1
SOL_NETLINK, NETLINK_GET_STRICT_CHK = 270, 12
GROUPS = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR

_HEADER = struct.Struct("=IHHII")  # size, type, flags, sequence, port id
_INDEX = struct.Struct("=i")
_INDEX_AT = 20  # both ifinfomsg and ifaddrmsg hold the link's index 4 octets into their body
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface as the kernel lists it."""

    index: int
    name: str
    kind: str
    is_up: bool
    alias: str


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """One address on a link. `valid_seconds` is None when it has no end."""

    address: Address
    prefix_size: int
    index: int
    valid_seconds: int | None


def load() -> tuple[Any, Any]:
    """pyroute2's message types for links and addresses. ImportError when it is not installed."""
    if "pyroute2" not in sys.modules:
        spec = importlib.util.find_spec("pyroute2")
        if spec is None or spec.submodule_search_locations is None:
            raise ImportError("pyroute2 is not installed")
        package = ModuleType("pyroute2")  # empty, with the same submodules
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules["pyroute2"] = package
    link = importlib.import_module("pyroute2.netlink.rtnl.ifinfmsg")
    address = importlib.import_module("pyroute2.netlink.rtnl.ifaddrmsg")
    return link.ifinfmsg, address.ifaddrmsg


class Netlink:
    """Requests about links and addresses. Every method may raise OSError with the kernel's errno."""

    def __init__(self) -> None:
        self._link_message, self._address_message = load()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.settimeout(TIMEOUT_SECONDS)
        # Lets the kernel pick out one link's addresses. One before 4.20 refuses this, and sends all.
        with contextlib.suppress(OSError):
            self._socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
        self._sequence = 0

    @property
    def port_id(self) -> int:
        """The sender's id in the kernel's notifications of our own changes."""
        return int(self._socket.getsockname()[0])

    def close(self) -> None:
        """Close the socket; nothing on the host changes."""
        self._socket.close()

    def link(self, name: str) -> Link | None:
        """The link of that name, or None."""
        message = self._link_message()
        message["attrs"] = [["IFLA_IFNAME", name]]
        try:
            replies = list(self._request(message, RTM_GETLINK, 0))
        except OSError as error:
            # ENODEV; EINVAL and ERANGE: no link has such a name.
            if error.errno in (19, 22, 34):
                return None
            raise
        return self._read_link(replies[0]) if replies else None

    def add_link(self, name: str, kind: str, alias: str) -> None:
        """Create a link, set up, with an alias."""
        message = self._link_message()
        message["flags"] = message["change"] = IFF_UP
        message["attrs"] = [
            ["IFLA_IFNAME", name],
            ["IFLA_LINKINFO", {"attrs": [["IFLA_INFO_KIND", kind]]}],
        ]
        self._do(message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL)
        if (link := self.link(name)) is not None:  # old kernels take no alias at creation
            self.set_link(link.index, alias)

    def set_link(self, index: int, alias: str) -> None:
        """Set a link up, and give it its alias."""
        message = self._link_message()
        message["index"] = index
        message["flags"] = message["change"] = IFF_UP
        message["attrs"] = [["IFLA_IFALIAS", alias]]
        self._do(message, RTM_NEWLINK, 0)

    def delete_link(self, index: int) -> None:
        """Delete a link with all its addresses."""
        message = self._link_message()
        message["index"] = index
        self._do(message, RTM_DELLINK, 0)

    def addresses(self, *, index: int = 0, among: tuple[Address, ...] = ()) -> list[LinkAddress]:
        """The addresses of the link `index`; with 0, whatever link holds one `among` these.

        A node in IPVS mode holds thousands: only the fitting ones are read further than their
        fixed head.
        """
        message = self._address_message()
        message["index"] = index
        wanted = [address.packed for address in among]
        return [
            self._read_address(octets)
            for octets in self._request(message, RTM_GETADDR, NLM_F_DUMP)
            if _has_index(octets, index) or any(packed in octets for packed in wanted)
        ]

    def put_address(self, index: int, address: Address, seconds: int) -> None:
        """Add an address, or renew the one that is there; gone after `seconds`, 0 = never.

        IPv6 goes without duplicate address detection: the same address is on every node.
        """
        message = self._of_address(index, address)
        message["flags"] = IFA_F_NODAD if address.version == 6 else 0
        seconds = seconds or FOR_EVER
        message["attrs"] += [["IFA_CACHEINFO", {"ifa_preferred": seconds, "ifa_valid": seconds}]]
        self._do(message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE)

    def delete_address(self, index: int, address: Address, prefix_size: int) -> None:
        """Take one address off a link; one that is gone already is fine."""
        message = self._of_address(index, address)
        message["prefixlen"] = prefix_size
        try:
            self._do(message, RTM_DELADDR, 0)
        except OSError as error:
            if error.errno != 99:  # EADDRNOTAVAIL
                raise

    def _of_address(self, index: int, address: Address) -> Any:
        message = self._address_message()
        message["family"] = _FAMILY[address.version]
        message["prefixlen"] = address.max_prefixlen
        message["index"] = index
        message["attrs"] = [["IFA_LOCAL", str(address)], ["IFA_ADDRESS", str(address)]]
        return message

    def _do(self, message: Any, kind: int, flags: int) -> None:
        for _ in self._request(message, kind, flags | NLM_F_ACK):
            pass

    def _request(self, message: Any, kind: int, flags: int) -> Iterator[bytes]:
        self._sequence += 1
        header = message["header"]
        header["type"] = kind
        header["flags"] = flags | NLM_F_REQUEST
        header["sequence_number"] = self._sequence
        message.encode()
        self._socket.send(message.data)
        has_many = bool(flags & NLM_F_DUMP)
        while True:
            for octets, reply, sequence in messages(self._socket.recv(1 << 18)):
                if sequence != self._sequence:
                    continue  # the late answer to a request we gave up on
                if reply == NLMSG_DONE:
                    return
                if reply == NLMSG_ERROR:
                    _raise_error(octets)
                    return
                yield octets
                if not has_many:
                    return

    def _read_link(self, octets: bytes) -> Link:
        message = self._link_message(octets)
        message.decode()
        info = message.get_attr("IFLA_LINKINFO")
        return Link(
            index=message["index"],
            name=message.get_attr("IFLA_IFNAME") or "",
            kind=(info.get_attr("IFLA_INFO_KIND") if info else None) or "",
            is_up=bool(message["flags"] & IFF_UP),
            alias=message.get_attr("IFLA_IFALIAS") or "",
        )

    def _read_address(self, octets: bytes) -> LinkAddress:
        message = self._address_message(octets)
        message.decode()
        text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        times = message.get_attr("IFA_CACHEINFO") or {}
        valid = times.get("ifa_valid", FOR_EVER)
        return LinkAddress(
            ip_address(text), message["prefixlen"], message["index"],
            None if valid == FOR_EVER else valid,
        )  # fmt: skip


def addresses_on(name: str) -> list[LinkAddress] | None:
    """The addresses of the link `name` now; None where there is no such link. May raise OSError."""
    netlink = Netlink()
    try:
        link = netlink.link(name)
        return netlink.addresses(index=link.index) if link is not None else None
    finally:
        netlink.close()


class LinkMonitor(socket.socket):
    """The kernel's notifications about links and addresses (as `ip monitor` shows them): a socket to poll."""

    def __init__(self, own_port_id: int) -> None:
        super().__init__(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.bind((0, GROUPS))
        self.setblocking(False)
        self._own_port_id = own_port_id

    def concerns(self, name: str, index: int, addresses: tuple[Address, ...]) -> bool:
        """Read all waiting notifications; whether another program changed this link or one of these addresses.

        True as well when notifications were lost, for then anything may have changed.
        """
        marks = [name.encode() + b"\0", *(address.packed for address in addresses)]
        is_ours = False
        while True:
            try:
                octets = self.recv(1 << 18)
            except BlockingIOError:
                return is_ours
            except OSError:  # ENOBUFS: the socket's buffer ran over
                is_ours = True
                continue
            is_ours = is_ours or any(
                _has_index(message, index) or any(mark in message for mark in marks)
                for message, _, _ in messages(octets)
                if _HEADER.unpack_from(message)[4] != self._own_port_id
            )


def messages(octets: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Split what one read gave: (message with its header, type, sequence)."""
    offset = 0
    while offset + _HEADER.size <= len(octets):
        size, kind, _, sequence, _ = _HEADER.unpack_from(octets, offset)
        if size < _HEADER.size:
            return
        yield octets[offset : offset + size], kind, sequence
        offset += (size + 3) & ~3


def _has_index(message: bytes, index: int) -> bool:
    return (
        index > 0
        and len(message) >= _INDEX_AT + 4
        and bool(_INDEX.unpack_from(message, _INDEX_AT)[0] == index)
    )


def _raise_error(message: bytes) -> None:
    code = -_INDEX.unpack_from(message, _HEADER.size)[0]
    if code:
        raise OSError(code, os.strerror(code))
