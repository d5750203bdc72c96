"""Drops privileges by system calls: capabilities and user, irrevocably.

Only Linux, only this thread's process; the C library is asked through ctypes because Python has no
names for these. Everything raises OSError with the kernel's errno unless it says otherwise.
"""

import ctypes
import logging
import os
import struct
from collections.abc import Iterable
from pathlib import Path

log = logging.getLogger(__name__)

# linux/capability.h
CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP = 5, 6, 7, 8
CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW = 10, 12, 13
# To signal the worker, to fork another that changes its user and empties its bounding set, and to
# bind what a reload adds.
_KEEPER = frozenset({CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_NET_BIND_SERVICE})
_HOST = frozenset({CAP_NET_ADMIN, CAP_NET_RAW})  # iptables-legacy opens a raw socket
NET_ADMIN_IS_MISSING = (
    "CAP_NET_ADMIN is missing (securityContext: runAsUser 0, capabilities.add NET_ADMIN)"
)
"""A container's capabilities are root's: Kubernetes gives other users none."""
NOBODY = 65534
KEEPER_OOM_SCORE_ADJ = -998  # one above the kubelet's -999: the node's DNS goes late

_LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")
_WORKER_FIRST = 300  # of a thousand: more than what the keeper's size could outweigh
_OOM_SCORE_MAX = 1000
_OOM_SCORE_ADJ = Path("/proc/self/oom_score_adj")
_CAPABILITY_VERSION_3 = 0x20080522
# linux/prctl.h
_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 2, 4
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4

_libc = ctypes.CDLL(None, use_errno=True)


def has_capability(capability: int) -> bool:
    """Whether this process may use `capability` now."""
    effective, _, _ = _capabilities()
    return bool(effective >> capability & 1)


def keep_only(capabilities: Iterable[int]) -> None:
    """Give up every capability not named, for this process and all it starts, and new ones too."""
    wanted = sum(1 << capability for capability in set(capabilities))
    _, permitted, _ = _capabilities()
    _bound(wanted)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _set_capabilities(permitted & wanted)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def keeper_needs(*, sets_up_host: bool) -> frozenset[int]:
    """The capabilities that the keeper needs until it ends."""
    return _KEEPER | _HOST if sets_up_host else _KEEPER


def become_worker(uid: int = NOBODY, gid: int = NOBODY) -> None:
    """Give up every capability and, as root, become another user.

    A process that is not root keeps its user, and so does root where that is not permitted (no CAP_SETUID or
    CAP_SETGID), or there is no such user in its namespace. The OOM killer is told to prefer this process to the
    keeper, since the worker can be replaced. `die_with_parent` stays in force, although
    the kernel forgets it at a change of user.
    """
    _go_before_keeper()
    signal = _death_signal()
    if os.geteuid() == 0 and uid != 0:
        _bound(0)  # first: it takes a capability that the change of user takes away
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)  # leaving uid 0 empties the capabilities
        except OSError as error:
            log.warning(
                "the worker stays root, without capabilities: %s (CAP_SETUID, CAP_SETGID, user namespace)",
                error.strerror,
            )
    keep_only(())
    _prctl(_PR_SET_DUMPABLE, 0)
    die_with_parent(signal)


def die_with_parent(signal: int) -> None:
    """Have the kernel send us `signal` when the process that forked us ends."""
    _prctl(_PR_SET_PDEATHSIG, signal)


def _bound(wanted: int) -> None:
    """Remove everything but `wanted` from the bounding set, where that is permitted."""
    for capability in range(_last_capability() + 1):
        is_bound = _prctl(_PR_CAPBSET_READ, capability) == 1
        if is_bound and not wanted >> capability & 1 and has_capability(CAP_SETPCAP):
            _prctl(_PR_CAPBSET_DROP, capability)


def _death_signal() -> int:
    signal = ctypes.c_int(0)
    _check(_libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(signal), 0, 0, 0))
    return signal.value


def _go_before_keeper() -> None:
    """Raise this process' OOM score above the keeper's, which is always permitted.

    A kubelet gives critical pods -997, so the worker stays safe while other pods need memory.
    """
    try:
        inherited = int(_OOM_SCORE_ADJ.read_text())
    except (OSError, ValueError):
        return
    is_protected = inherited == KEEPER_OOM_SCORE_ADJ
    set_oom_score_adj(0 if is_protected else min(inherited + _WORKER_FIRST, _OOM_SCORE_MAX))


def set_oom_score_adj(score: int) -> bool:
    """Set how soon the OOM killer comes (-1000 never … 1000 first). False when not allowed."""
    try:
        _OOM_SCORE_ADJ.write_text(str(score))
    except OSError:  # lowering needs CAP_SYS_RESOURCE; a read-only /proc allows neither
        return False
    return True


def _last_capability() -> int:
    try:
        return int(_LAST_CAPABILITY.read_text())
    except (OSError, ValueError):
        return 40  # CAP_CHECKPOINT_RESTORE, the last one of 2020


def _capabilities() -> tuple[int, int, int]:
    """(effective, permitted, inheritable) as bit sets."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    _check(_libc.capget(ctypes.create_string_buffer(header, 8), data))
    words = struct.unpack("=6I", data.raw)
    return words[0] | words[3] << 32, words[1] | words[4] << 32, words[2] | words[5] << 32


def _set_capabilities(permitted: int) -> None:
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    low, high = permitted & 0xFFFFFFFF, permitted >> 32
    data = struct.pack("=6I", low, low, 0, high, high, 0)
    _check(
        _libc.capset(ctypes.create_string_buffer(header, 8), ctypes.create_string_buffer(data, 24))
    )


def _prctl(option: int, argument: int) -> int:
    zero = ctypes.c_ulong(0)
    return _check(_libc.prctl(option, ctypes.c_ulong(argument), zero, zero, zero))


def _check(outcome: int) -> int:
    if outcome < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return outcome
