"""The legacy x_tables of the kernel, which send no notifications: their sizes are read instead.

Reading a table's size is one getsockopt, without a program; a flush or a removed rule changes
the number of entries. A table that is not in use is never named, which would create it.
"""

import ctypes
import errno
import os
import socket
import struct
from pathlib import Path

SO_GET_INFO = 64  # IPT_SO_GET_INFO and IP6T_SO_GET_INFO (linux/netfilter_ipv4/ip_tables.h)
_INFO = struct.Struct("=32s11I2I")  # struct ipt_getinfo: name, hooks, then entries and octets
_FAMILIES = {
    4: (socket.AF_INET, socket.IPPROTO_IP, "ip_tables_names"),
    6: (socket.AF_INET6, socket.IPPROTO_IPV6, "ip6_tables_names"),
}
_libc = ctypes.CDLL(None, use_errno=True)

Sizes = dict[tuple[int, str], tuple[int, int]]
"""(family 4 or 6, table) → (entries, octets)."""


def legacy_tables(version: int, proc: Path = Path("/proc/net")) -> frozenset[str]:
    """The legacy tables in use."""
    try:
        return frozenset((proc / _FAMILIES[version][2]).read_text().split())
    except OSError:
        return frozenset()


def sizes(tables: tuple[str, ...]) -> Sizes:
    """The sizes of those of `tables` that are in use."""
    found: Sizes = {}
    for version, (family, level, _) in _FAMILIES.items():
        used = [table for table in tables if table in legacy_tables(version)]
        if used:
            with socket.socket(family, socket.SOCK_DGRAM) as probing:
                for table in used:
                    found[version, table] = _size(probing.fileno(), level, table)
    return found


def _size(descriptor: int, level: int, table: str) -> tuple[int, int]:
    """(entries, octets); (0, 0) for a table that went away just now."""
    info = ctypes.create_string_buffer(_INFO.pack(table.encode(), *([0] * 13)), _INFO.size)
    size = ctypes.c_uint32(_INFO.size)
    if _libc.getsockopt(descriptor, level, SO_GET_INFO, info, ctypes.byref(size)) != 0:
        code = ctypes.get_errno()
        if code in (errno.ENOENT, errno.ENOPROTOOPT):
            return 0, 0
        raise OSError(code, os.strerror(code))
    *_, entries, octets = _INFO.unpack(info.raw)
    return entries, octets
