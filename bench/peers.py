"""The servers that are compared: where each is found, and the configuration that makes it a cache
before one upstream, on one thread, with about the same number of entries.

All but dnsmasq and pdns-recursor, which cannot, ask the upstream over TCP, as a node-local cache
does for cluster names.
"""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.build import COMPILED
from bench.processes import free_port

STOCK_ENTRIES = 9984  # what node-local-dns' stock Corefile gives each cache
ROOM_OCTETS = 2048  # for an entry, where nodecache's own budget of octets is to be no limit
ENTRY_OCTETS = 512  # generous: where a server counts octets it is not to be short of them
OURS = ("nodecache", "interpreted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What one start of a server is given."""

    folder: Path
    port: int
    upstream_port: int
    entries: int = STOCK_ENTRIES

    def write(self, name: str, text: str) -> str:
        """Write a configuration file; returns its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One server: `command` writes its configuration and returns its arguments."""

    name: str
    leg: str  # how it asks the upstream
    command: Callable[[str, Setting], list[str]]
    version: tuple[str, ...] = ("--version",)
    has_cache: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """A peer and the program of it on this machine."""

    peer: Peer
    program: str

    def argv(self, setting: Setting) -> list[str]:
        """Write the configuration; what to run."""
        return self.peer.command(self.program, setting)


def _floor(program: str, setting: Setting) -> list[str]:
    return [program, str(setting.port)]


def corefile(setting: Setting) -> str:
    """What node-local-dns' stock Corefile says for one zone, with long TTLs allowed."""
    return f""".:{setting.port} {{
    errors
    cache {{
        success {setting.entries} 3600
        denial {setting.entries} 3600
    }}
    reload
    bind 127.0.0.1
    forward . 127.0.0.1:{setting.upstream_port} {{
        force_tcp
    }}
    prometheus 127.0.0.1:{free_port()}
}}
"""


def _nodecache(program: str, setting: Setting) -> list[str]:
    text = corefile(setting)
    if setting.entries > STOCK_ENTRIES:
        budget = f"nodecache {{\n        budget {setting.entries * ROOM_OCTETS}\n    }}"
        text = text.replace("errors", f"errors\n    {budget}")
    return [program, *_flags(setting, text)]


def _original(program: str, setting: Setting) -> list[str]:
    return [program, *_flags(setting, corefile(setting))]


def _flags(setting: Setting, text: str) -> list[str]:
    base = setting.write("Corefile.base", text)
    flags = {
        "-localip": "127.0.0.1",
        "-conf": str(setting.folder / "Corefile"),
        "-basecorefile": base,
        "-p": str(setting.port),
        "-metrics-listen-address": f"127.0.0.1:{free_port()}",
        "-setupinterface": "false",
        "-setupiptables": "false",
    }
    return [f"{flag}={value}" for flag, value in flags.items()]


def _coredns(program: str, setting: Setting) -> list[str]:
    return [program, "-conf", setting.write("Corefile", corefile(setting))]


def _unbound(program: str, setting: Setting) -> list[str]:
    size = setting.entries * ENTRY_OCTETS
    text = f"""server:
  interface: 127.0.0.1@{setting.port}
  username: ""
  chroot: ""
  directory: "{setting.folder}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  do-daemonize: no
  do-ip6: no
  do-not-query-localhost: no
  module-config: "iterator"
  num-threads: 1
  msg-cache-size: {size}
  rrset-cache-size: {2 * size}
  so-rcvbuf: 4m
  tcp-upstream: yes
  outgoing-num-tcp: 64
  num-queries-per-thread: 4096
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{setting.upstream_port}
"""
    return [program, "-d", "-c", setting.write("unbound.conf", text)]


def _dnsmasq(program: str, setting: Setting) -> list[str]:
    return [
        program,
        "--keep-in-foreground",
        f"--conf-file={setting.write('dnsmasq.conf', '')}",
        "--no-resolv",
        "--no-hosts",
        f"--server=127.0.0.1#{setting.upstream_port}",
        f"--port={setting.port}",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        f"--cache-size={setting.entries}",
        "--dns-forward-max=10000",
        "--user=root",
        f"--pid-file={setting.folder}/dnsmasq.pid",
    ]


def _dnsdist(program: str, setting: Setting) -> list[str]:
    # A full packet cache takes nothing new until its cleaner has run: every second, not 60.
    text = f"""setLocal("127.0.0.1:{setting.port}")
newServer{{address="127.0.0.1:{setting.upstream_port}", tcpOnly=true, checkInterval=60}}
getPool(""):setCache(newPacketCache({setting.entries}, {{maxTTL=3600}}))
setCacheCleaningDelay(1)
"""
    return [program, "--supervised", "--disable-syslog", "-C", setting.write("dnsdist.conf", text)]


def _recursor(program: str, setting: Setting) -> list[str]:
    text = f"""local-address=127.0.0.1
local-port={setting.port}
forward-zones-recurse=.=127.0.0.1:{setting.upstream_port}
dont-query=
dnssec=off
threads=1
max-cache-entries={setting.entries}
max-packetcache-entries={setting.entries}
packetcache-ttl=3600
socket-dir={setting.folder}
config-dir={setting.folder}
daemon=no
disable-syslog=yes
hint-file=no
"""
    setting.write("recursor.conf", text)
    return [program, f"--config-dir={setting.folder}"]


def _knot_resolver(program: str, setting: Setting) -> list[str]:
    size = max(8 << 20, setting.entries * ENTRY_OCTETS)
    text = f"""net.listen('127.0.0.1', {setting.port}, {{ kind = 'dns' }})
net.ipv6 = false
trust_anchors.remove('.')
cache.size = {size}
policy.add(policy.all(policy.FLAGS('TCP')))
policy.add(policy.all(policy.FORWARD('127.0.0.1@{setting.upstream_port}')))
"""
    return [program, "-n", "-c", setting.write("kresd.conf", text), str(setting.folder)]


def _is_native(path: Path) -> bool:
    """Our own console script is called node-cache too; the original is no script."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def find_native(name: str) -> str | None:
    """The first compiled program of that name on PATH."""
    for folder in os.get_exec_path():
        path = Path(folder) / name
        if _is_native(path):
            return str(path)
    return None


# Of the original not even this works without an address.
_GO_VERSION = ("-version", "-localip=127.0.0.1", "-setupinterface=false", "-setupiptables=false")


def _ours() -> str | None:
    """The console script of the interpreter that runs the bench: the sources, interpreted."""
    return shutil.which("nodecache", path=str(Path(sys.executable).parent))


def _ours_compiled() -> str | None:
    return _ours() if COMPILED.is_dir() else None


def _nodecache_compiled(program: str, setting: Setting) -> list[str]:
    return ["env", f"PYTHONPATH={COMPILED}", *_nodecache(program, setting)]


def _table(floor: Path) -> tuple[tuple[str | None, Peer], ...]:
    """Every peer with the program found for it, or None."""
    return (
        (str(floor), Peer(name="floor", leg="-", command=_floor, has_cache=False)),
        (
            _ours_compiled(),
            Peer(name="nodecache", leg="TCP", command=_nodecache_compiled, version=_GO_VERSION),
        ),
        (_ours(), Peer(name="interpreted", leg="TCP", command=_nodecache, version=_GO_VERSION)),
        (
            find_native("node-cache"),
            Peer(name="original", leg="TCP", command=_original, version=_GO_VERSION),
        ),
        (
            find_native("coredns"),
            Peer(name="coredns", leg="TCP", command=_coredns, version=("-version",)),
        ),
        (
            shutil.which("unbound"),
            Peer(name="unbound", leg="TCP", command=_unbound, version=("-V",)),
        ),
        (shutil.which("dnsdist"), Peer(name="dnsdist", leg="TCP", command=_dnsdist)),
        (shutil.which("kresd"), Peer(name="knot-resolver", leg="TCP", command=_knot_resolver)),
        (shutil.which("pdns_recursor"), Peer(name="pdns-recursor", leg="UDP", command=_recursor)),
        (shutil.which("dnsmasq"), Peer(name="dnsmasq", leg="UDP", command=_dnsmasq)),
    )


def find_peers(floor: Path, wanted: frozenset[str]) -> list[Found]:
    """The peers that are on this machine; of those only `wanted`, if any are named."""
    return [
        Found(peer, program)
        for program, peer in _table(floor)
        if program is not None and (not wanted or peer.name in wanted)
    ]
