"""Every flag of the agent: the field it fills, how its text is read, and what the usage says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from nodecache.corefile import values

Address = IPv4Address | IPv6Address
NOBODY = 65534

# Values


def _addresses(word: str) -> tuple[str, ...]:
    """Address literals parted by commas, blanks around them taken off."""
    if not word.strip():
        return ()
    texts = tuple(text.strip() for text in word.split(","))
    if "" in texts:
        raise ValueError(f"one of the addresses is empty (a comma too many?) in {word!r}")
    for text in texts:
        values.ip(text)
    return texts


def _address_list(word: str) -> tuple[Address, ...]:
    return tuple(values.ip(text) for text in _addresses(word))


def _leased(word: str) -> tuple[Address, ...] | None:
    if word in ("", "auto"):
        return None
    return () if word == "none" else _address_list(word)


def _sync_interval(word: str) -> float:
    """`60`, `60s`, `1m`. The original's unit was lost: its default `60ns` means sixty seconds."""
    if word.isascii() and word.isdigit():
        word += "s"
    seconds = values.go_duration(word)
    if 0 < seconds < 1e-6:
        seconds = float(round(seconds * 1e9))
    if seconds <= 0:
        raise ValueError(f"must be above 0, not {word!r}")
    return seconds


def _lease(word: str) -> float:
    if word.isascii() and word.isdigit():
        word += "s"
    return values.duration(0)(word)


def _user(word: str) -> tuple[int, int] | None:
    """`UID`, `UID:GID`, or nothing or `root` to stay who we are."""
    if word in ("", "root", "0"):
        return None
    uid, colon, gid = word.partition(":")
    number = values.whole(0, 2**32 - 2)
    return number(uid), number(gid if colon else uid)


# The table


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: the field it fills, how its text is read, and what the usage says."""

    name: str
    field: str
    kind: str
    default: str
    read: Callable[[str], Any]
    help: str

    @property
    def is_switch(self) -> bool:
        """Whether it can stand without a value."""
        return self.kind == ""


def _switch(name: str, field: str, default: str, text: str) -> Flag:
    return Flag(name, field, "", default, values.boolean, text)


def _text(name: str, field: str, default: str, text: str) -> Flag:
    return Flag(name, field, "string", default, str, text)


TABLE = (
    Flag(
        "localip",
        "local_ips",
        "addresses",
        "",
        _addresses,
        "addresses to serve DNS on, parted by commas; IPv4 and IPv6 in any mix",
    ),
    _switch(
        "setupinterface",
        "setup_interface",
        "true",
        "create and keep an interface with the addresses of -localip",
    ),
    _text(
        "interfacename", "interface_name", "nodelocaldns", "name of the interface that holds them"
    ),
    _text(
        "interfacekind",
        "interface_kind",
        "dummy",
        "kind of that interface, for kernels without dummy links",
    ),
    _switch(
        "setupiptables",
        "setup_iptables",
        "true",
        "keep DNS traffic out of conntrack, by packet rules",
    ),
    Flag(
        "rules",
        "rules",
        "backend",
        "auto",
        values.one_of("auto", "nftables", "iptables", "none"),
        "what applies packet rules: auto, nftables, iptables or none",
    ),
    Flag(
        "syncinterval",
        "sync_seconds",
        "duration",
        "60s",
        _sync_interval,
        "how often interface and rules are compared with what they must be",
    ),
    Flag(
        "lease",
        "lease_seconds",
        "duration",
        "10s",
        _lease,
        "how long leased addresses outlive us when nothing can clean up; 0 is for ever",
    ),
    Flag(
        "leased",
        "leased",
        "addresses",
        "auto",
        _leased,
        "which of -localip are leased: auto is all that are not link-local; or none",
    ),
    Flag(
        "fallback",
        "fallback",
        "addresses",
        "",
        _address_list,
        "Service addresses that take over from link-local ones while we cannot answer",
    ),
    _switch("skipteardown", "skip_teardown", "false", "leave interface and rules behind at exit"),
    Flag(
        "health-port",
        "health_port",
        "port",
        "8080",
        values.whole(0, 65535),
        "port of the liveness probe, for the packet rules; 0 for none",
    ),
    Flag(
        "metrics-listen-address",
        "metrics_listen_address",
        "address",
        "0.0.0.0:9353",
        values.text,  # what is no address is told where it is opened, and DNS is served
        "where metrics are served, whatever the Corefile says; port 0 takes a free one; empty: none",
    ),
    Flag(
        "prometheus-listen-address",
        "prometheus_listen_address",
        "address",
        ":9253",
        values.text,  # `prometheus` tells what is no address, where it stands in the base Corefile
        "what takes the place of __PROMETHEUS__ENDPOINT__ in the base Corefile",
    ),
    _text("basecorefile", "base_corefile", "/etc/coredns/Corefile.base", "Corefile to fill in"),
    _text("corefile", "ignored", "/etc/Corefile", "taken and without effect, as in node-cache"),
    _switch("setupebtables", "ignored", "false", "of older node-cache: taken and without effect"),
    _text("cpu", "ignored", "", "of older CoreDNS: taken and without effect"),
    _text("kubednscm", "kubedns_folder", "", "folder where the ConfigMap kube-dns is mounted"),
    Flag(
        "upstreamsvc",
        "upstream_service",
        "name",
        "kube-dns",
        values.text,
        "Service whose address takes the place of __PILLAR__CLUSTER__DNS__; empty for none",
    ),
    Flag(
        "endpoints",
        "endpoints",
        "dns|api|off",
        "dns",
        values.one_of("dns", "api", "off"),
        "who tells kube-dns' pods: kube-dns (Service kube-dns-pods), the API server, nobody",
    ),
    _switch(
        "reloadwithsignal", "reload_with_signal", "false", "reload at each change (we always do)"
    ),
    _text(
        "conf", "conf", "", "Corefile to serve; written from the base Corefile where there is one"
    ),
    _text("state", "state_folder", "", "folder that keeps the last good Corefile over restarts"),
    _text(
        "control",
        "control",
        "/run/nodecache/control.sock",
        "Unix socket for nodecache explain and nodecache top, read by root only; empty is none",
    ),
    Flag(
        "dns.port",
        "dns_port",
        "port",
        "53",
        values.port,
        "port of keys that name none, and of rules",
    ),
    Flag("p", "dns_port", "port", "53", values.port, "the same as -dns.port"),
    _text("pidfile", "pidfile", "", "file for our process id, there once everything listens"),
    Flag(
        "user",
        "user",
        "UID[:GID]",
        str(NOBODY),
        _user,
        "who the worker becomes where we are root; root to stay",
    ),
    Flag(
        "log-format",
        "log_format",
        "format",
        "text",
        values.one_of("text", "json"),
        "text or json, one object a line",
    ),
    _switch("quiet", "quiet", "false", "do not print zones and version at start"),
    _switch("version", "version", "false", "print the version and exit"),
    _switch("plugins", "plugins", "false", "print the directives and exit"),
)
