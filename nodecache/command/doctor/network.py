"""Checks by queries: the agent at its addresses, and its upstreams, and how fast they answer."""

import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from nodecache.command.interfaces import interface_addresses
from nodecache.config.plan import listen_addresses, served_zones, with_own_interface
from nodecache.corefile import CorefileError, ForwardOptions, nameservers
from nodecache.corefile.values import ip
from nodecache.host.probe import is_reply, query

from .findings import Finding, broken, look, ok
from .subject import Metrics, Subject

SOCKETS = "sockets"
INTERCEPTION = "interception"
UPSTREAMS = "upstreams"
_PATIENCE_SECONDS = 1.5
_SLOW_SECONDS = 0.5
_AT_ONCE = 32
_HEADER_OCTETS = 12  # RFC 1035 §4.1.1: all that is looked at
_YOUNG_SECONDS = 600.0
# qname ".", qtype NS (2), class IN: what CoreDNS's health checks ask
_ROOT = b"\0" + struct.pack("!HH", 2, 1)
# A private type (RFC 6895, 3.1) of a name that cannot exist (RFC 6761, 6.4): nobody else asks this.
_UNUSUAL_TYPE = 65_399
_UNUSUAL = b"\x06doctor\x07invalid\0" + struct.pack("!HH", _UNUSUAL_TYPE, 1)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds until an answer by UDP and TCP; None for no answer."""

    udp: float | None
    tcp: float | None

    @property
    def told(self) -> str:
        """`UDP in 0.4 ms, TCP does not answer`."""
        return f"UDP {_told(self.udp)}, TCP {_told(self.tcp)}"


def _told(seconds: float | None) -> str:
    return "does not answer" if seconds is None else f"in {seconds * 1000:.1f} ms"


def check_sockets(subject: Subject) -> Iterator[Finding]:
    """The agent, at each address that its Corefile binds."""
    if subject.metrics is None or subject.corefile is None:
        return
    targets = list(_listened(subject))
    for (host, port), pace in zip(targets, paces(targets, None), strict=True):
        where = f"{host}:{port}"
        if pace.udp is not None and pace.tcp is not None:
            yield ok(SOCKETS, f"{where} answers: {pace.told}")
        else:
            yield broken(
                SOCKETS,
                f"{where}: {pace.told}",
                "queries there fail, or go to kube-dns",
                "kubectl -n kube-system logs ds/node-local-dns (is the address there, the port free?)",
            )


def _listened(subject: Subject) -> Iterator[tuple[str, int]]:
    assert subject.corefile is not None
    try:
        resolve = with_own_interface(subject.flags, interface_addresses)
        listened = listen_addresses(served_zones(subject.corefile, resolve))
    except (CorefileError, OSError):  # no such interface, no netlink
        return
    for address in listened:
        own = [str(each) for each in subject.flags.local_ips]
        hosts = own if address.is_wildcard else [address.host]
        yield from ((host, address.port) for host in hosts or ["127.0.0.1"])


def check_interception(
    subject: Subject, read_again: Callable[[], Metrics | None]
) -> Iterator[Finding]:
    """Whether queries to the listen addresses reach the agent, this command's and pods'."""
    before = subject.metrics
    if before is None:
        return
    addresses = [str(address) for address in subject.flags.local_ips]
    if not addresses:
        return
    ask = partial(exchange, port=subject.flags.dns_port, kind=socket.SOCK_DGRAM, question=_UNUSUAL)
    with ThreadPoolExecutor(len(addresses)) as pool:
        asked = sum(seconds is not None for seconds in pool.map(ask, addresses))
    try:
        after = read_again()
    except TimeoutError:
        return
    if after is None:
        return
    seen = _unusual(after) - _unusual(before)
    if asked and seen < asked:
        yield broken(
            INTERCEPTION,
            f"{asked} test queries were answered, and the agent saw {seen:.0f} of them",
            "somebody else answers them: they go past the cache",
            "nft list ruleset | grep 'dport 53'; a kube-proxy replacement wants deploy/overlays/cilium",
        )
        return
    packets = sum(
        value
        for labels, value in after.each("nodecache_rule_packets_total")
        if labels.get("flow", "").startswith("prerouting_") and labels["flow"].endswith("_to_dns")
    )
    # The rules' counters are read every -syncinterval, and a young agent may have no pods yet.
    if subject.flags.rules != "none" and not packets and after.age_seconds() > _YOUNG_SECONDS:
        yield look(
            INTERCEPTION,
            "no packet of a pod has met the rules since the start",
            "they go past the cache, or there are none on this node",
            "kubectl exec into a pod of this node and look at its /etc/resolv.conf",
        )
    elif asked:
        yield ok(INTERCEPTION, f"test queries reach the agent; {packets:.0f} packets of pods did")


def _unusual(metrics: Metrics) -> float:
    return metrics.total("coredns_dns_requests_total", type="other")


def check_upstreams(subject: Subject) -> Iterator[Finding]:
    """Each upstream of the Corefile by UDP and TCP."""
    if subject.corefile is None:
        return
    wanted: dict[tuple[str, int], bool] = {}
    for block in subject.corefile.blocks:
        for options in block.forwards:
            for target in _targets(options, subject):
                wanted[target] = wanted.get(target, False) or options.force_tcp
    found = list(zip(wanted.items(), paces(list(wanted), _ROOT), strict=True))
    for ((host, port), is_by_tcp), pace in found:
        yield _judged(f"{host}:{port}", pace, is_by_tcp=is_by_tcp)


def _judged(where: str, pace: Pace, *, is_by_tcp: bool) -> Finding:
    if pace.udp is None and pace.tcp is None:
        return broken(
            UPSTREAMS,
            f"{where} does not answer",
            "names that only it knows fail, or are answered stale",
            f"is it there, and let through? dig @{where.rpartition(':')[0]} . NS",
        )
    if pace.tcp is None:
        meaning = "large answers are cut off"
        if is_by_tcp:
            meaning = "names of its zone fail: the Corefile asks it by TCP alone (force_tcp)"
        return (broken if is_by_tcp else look)(
            UPSTREAMS, f"{where}: {pace.told}", meaning, "let TCP port 53 through to it"
        )
    if pace.udp is None and not is_by_tcp:
        return look(
            UPSTREAMS,
            f"{where}: {pace.told}",
            "the first answers are late",
            "let UDP port 53 through",
        )
    if max(pace.tcp, pace.udp or 0.0) > _SLOW_SECONDS:
        return look(
            UPSTREAMS, f"{where} is slow: {pace.told}", "new names take as long", "a nearer one"
        )
    return ok(UPSTREAMS, f"{where}: {pace.told}")


def _targets(options: ForwardOptions, subject: Subject) -> Iterator[tuple[str, int]]:
    for there in options.destinations:
        if there.kind == "address" and there.scheme == "dns":
            yield there.host, there.port
        elif there.kind == "file":
            for named in nameservers(subject.read(there.host) or ""):
                yield named.host, named.port


def paces(targets: Iterable[tuple[str, int]], question: bytes | None) -> list[Pace]:
    """The time in which each target answers, all asked at once. `question` None is `id.server`."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:

        def asked(target: tuple[str, int], kind: socket.SocketKind) -> "Callable[[], float | None]":
            future = pool.submit(exchange, *target, kind, question)
            return future.result

        waiting = [
            (asked(target, socket.SOCK_DGRAM), asked(target, socket.SOCK_STREAM))
            for target in targets
        ]
        return [Pace(udp(), tcp()) for udp, tcp in waiting]


def exchange(
    host: str, port: int, kind: socket.SocketKind, question: bytes | None = None
) -> float | None:
    """Send one question; the seconds until a reply, None without one in time."""
    message_id = secrets.randbelow(1 << 16)
    packet = query(message_id) if question is None else query(message_id, question)
    family = socket.AF_INET if ip(host.partition("%")[0]).version == 4 else socket.AF_INET6
    began = time.monotonic()
    try:
        with socket.socket(family, kind) as asking:
            asking.settimeout(_PATIENCE_SECONDS)
            asking.connect((host, port))
            if kind is socket.SOCK_STREAM:
                asking.sendall(struct.pack("!H", len(packet)) + packet)
                with asking.makefile("rb") as stream:  # one recv may bring the length alone
                    reply = stream.read(2 + _HEADER_OCTETS)[2:]
            else:
                asking.send(packet)
                reply = asking.recv(4096)
    except OSError:
        return None
    return time.monotonic() - began if is_reply(reply, message_id) else None
