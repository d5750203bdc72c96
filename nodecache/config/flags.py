"""The command line: every flag of node-cache and of the CoreDNS in it, and ours.

The syntax is that of Go's flag package: `-f v`, `-f=v` and `--f v` are the same; a boolean is `-b`
or `-b=false`, never `-b false`; the last of a repeated flag wins. Each flag is declared once, at its
field of `Flags`; the reader, the defaults and the usage text are made from that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from nodecache.corefile import values

from . import flag_fields
from .flag_fields import NOBODY, Address, Flag, switch, value_flag


class FlagError(Exception):
    """A command line that cannot be used, in one line: `-dns.port: must be …, not 'x'`."""


class HelpWanted(Exception):
    """`-h` or `-help` was given. The text is the usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """A command line, read and checked. Each flag fills the field that it stands at."""

    local_ip_texts: tuple[str, ...] = value_flag(
        "localip", "", "addresses to serve DNS on, parted by commas; IPv4 and IPv6 in any mix",
        "addresses", flag_fields.addresses,
    )  # fmt: skip
    """As written, blanks taken off: what takes the place of `__PILLAR__LOCAL__DNS__`."""
    setup_interface: bool = switch(
        "setupinterface", "true", "create and keep an interface with the addresses of -localip"
    )
    interface_name: str = value_flag(
        "interfacename", "nodelocaldns", "name of the interface that holds them"
    )
    interface_kind: str = value_flag(
        "interfacekind", "dummy", "kind of that interface, for kernels without dummy links"
    )
    rules: str = value_flag(
        "rules", "auto", "what applies packet rules: auto, nftables, iptables or none",
        "backend", values.one_of("auto", "nftables", "iptables", "none"),
    )  # fmt: skip
    sync_seconds: float = value_flag(
        "syncinterval", "60s", "how often interface and rules are compared with what they must be",
        "duration", flag_fields.sync_interval,
    )  # fmt: skip
    lease_seconds: float = value_flag(
        "lease", "10s", "how long leased addresses outlive us when nothing can clean up; 0 is for ever",
        "duration", flag_fields.lease,
    )  # fmt: skip
    leased: tuple[Address, ...] | None = value_flag(
        "leased", "auto", "which of -localip are leased: auto is all that are not link-local; or none",
        "addresses", flag_fields.leased,
    )  # fmt: skip
    """None: every address that is not link-local."""
    fallback: tuple[Address, ...] = value_flag(
        "fallback", "", "Service addresses that take over from link-local ones while we cannot answer",
        "addresses", flag_fields.address_list,
    )  # fmt: skip
    skip_teardown: bool = switch(
        "skipteardown", "false", "leave interface and rules behind at exit"
    )
    health_port: int = value_flag(
        "health-port", "8080", "port of the liveness probe, for the packet rules; 0 for none",
        "port", values.whole(0, 65535),
    )  # fmt: skip
    # What is no address is told where it is opened or stands in the base Corefile, and DNS is served.
    metrics_listen_address: str = value_flag(
        "metrics-listen-address",
        "0.0.0.0:9353",
        "where metrics are served, whatever the Corefile says; port 0 takes a free one; empty: none",
        "address",
    )
    prometheus_listen_address: str = value_flag(
        "prometheus-listen-address",
        ":9253",
        "what takes the place of __PROMETHEUS__ENDPOINT__ in the base Corefile",
        "address",
    )
    base_corefile: str = value_flag(
        "basecorefile", "/etc/coredns/Corefile.base", "Corefile to fill in"
    )
    kubedns_folder: str = value_flag(
        "kubednscm", "", "folder where the ConfigMap kube-dns is mounted"
    )
    """"" is /etc/kube-dns where there is such a folder."""
    upstream_service: str = value_flag(
        "upstreamsvc",
        "kube-dns",
        "Service whose address takes the place of __PILLAR__CLUSTER__DNS__; empty for none",
        "name",
    )
    endpoints: Literal["dns", "api", "off"] = value_flag(
        "endpoints", "dns",
        "who tells kube-dns' pods: kube-dns (Service kube-dns-pods), the API server, nobody",
        "dns|api|off", values.one_of("dns", "api", "off"),
    )  # fmt: skip
    conf: str = value_flag(
        "conf", "", "Corefile to serve; written from the base Corefile where there is one"
    )
    state_folder: str = value_flag(
        "state", "", "folder that keeps the last good Corefile over restarts"
    )
    """"" is no state."""
    control: str = value_flag(
        "control",
        "/run/nodecache/control.sock",
        "Unix socket for nodecache explain and nodecache top, read by root only; empty is none",
    )
    dns_port: int = value_flag(
        "dns.port", "53", "port of keys that name none, and of rules", "port", values.port
    )
    pidfile: str = value_flag(
        "pidfile", "", "file for our process id, there once everything listens"
    )
    user: tuple[int, int] | None = value_flag(
        "user", str(NOBODY), "who the worker becomes where we are root; root to stay",
        "UID[:GID]", flag_fields.user,
    )  # fmt: skip
    """User and group id of the worker; None is the keeper's own."""
    log_format: Literal["text", "json"] = value_flag(
        "log-format", "text", "text or json, one object a line",
        "format", values.one_of("text", "json"),
    )  # fmt: skip
    quiet: bool = switch("quiet", "false", "do not print zones and version at start")
    version: bool = switch("version", "false", "print the version and exit")
    plugins: bool = switch("plugins", "false", "print the directives and exit")

    @property
    def local_ips(self) -> tuple[Address, ...]:
        """`-localip`."""
        return tuple(map(values.ip, self.local_ip_texts))

    @property
    def sets_up_host(self) -> bool:
        """Whether anything of the node is ours to set up."""
        return self.setup_interface or self.rules != "none"


def parse_flags(argv: Sequence[str], *, is_served: bool = True) -> Flags:
    """Read a command line without the program's name. Raises FlagError or HelpWanted.

    What is only looked at and not served (`is_served`) needs no addresses.
    """
    read: dict[str, Any] = {flag.field: flag.read(flag.default) for flag in TABLE}
    for flag, word in _given(argv):
        try:
            read[flag.field] = flag.read(word)
        except ValueError as error:
            raise FlagError(f"-{flag.name}: {error}") from None
    del read["ignored"]
    if not read.pop("setup_rules"):
        read["rules"] = "none"
    flags = Flags(**read)
    if is_served and not (flags.version or flags.plugins):
        _check(flags)
    return flags


def _given(argv: Sequence[str]) -> Iterator[tuple[Flag, str]]:
    """Each flag with its value, as text."""
    words = list(argv)
    while words:
        word = words.pop(0)
        if len(word) < 2 or not word.startswith("-") or (word == "--" and words):
            rest = [word, *words] if word != "--" else words
            raise FlagError(f"extra command line arguments: {' '.join(rest)!r}{_hint(rest[0])}")
        if word == "--":
            return
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        flag = _BY_NAME.get(name)
        if flag is None:
            raise HelpWanted(usage()) if name in ("h", "help") else _unknown(word, name)
        if not equals:
            value = _next_value(flag, words)
        yield flag, value


def _next_value(flag: Flag, words: list[str]) -> str:
    """The value of a flag without `=`: true for a switch, else the next word."""
    if not flag.kind:
        return "true"
    if not words:
        raise FlagError(f"-{flag.name}: needs a value")
    return words.pop(0)


def _hint(word: str) -> str:
    if word.lower() in ("true", "false", "t", "f", "0", "1"):
        return f" (a switch takes its value with an equals sign: -setupinterface={word.lower()})"
    return ""


def _unknown(word: str, name: str) -> FlagError:
    if not name or name.startswith("-"):
        return FlagError(f"bad flag syntax: {word!r}")
    return FlagError(f"there is no flag -{name}{values.hint(name, _BY_NAME)} (-h lists them)")


def _check(flags: Flags) -> None:
    """What no flag can be told by itself."""
    if not flags.local_ips and flags.sets_up_host:
        raise FlagError(
            "-localip: needs the addresses to serve on, such as 169.254.20.10"
            " (or -setupinterface=false -setupiptables=false)"
        )
    for address in flags.leased or ():
        if address not in flags.local_ips:
            raise FlagError(f"-leased: {address} is not among -localip")


# Every flag. The last ones fill no field of their own.
TABLE = (
    *(replace(field.metadata["flag"], field=field.name) for field in fields(Flags)),
    Flag("p", "dns_port", "port", "53", values.port, "the same as -dns.port"),
    Flag("setupiptables", "setup_rules", "", "true", values.boolean, "keep DNS traffic out of conntrack, by packet rules"),
    Flag("reloadwithsignal", "ignored", "", "false", values.boolean, "reload at each change (we always do)"),
    Flag("corefile", "ignored", "string", "/etc/Corefile", str, "taken and without effect, as in node-cache"),
    Flag("setupebtables", "ignored", "", "false", values.boolean, "of older node-cache: taken and without effect"),
    Flag("cpu", "ignored", "string", "", str, "of older CoreDNS: taken and without effect"),
)  # fmt: skip
_BY_NAME = {flag.name: flag for flag in TABLE}


def flag_names() -> list[str]:
    """Every flag, in the order of the alphabet."""
    return sorted(_BY_NAME)


def usage() -> str:
    """What `-h` shows."""
    head = "A DNS cache for one Kubernetes node. `nodecache help` tells of its other commands."
    return f"Usage of nodecache:\n{head}\n{flag_usage()}"


def flag_usage() -> str:
    """Every flag, its default, and what it does."""
    lines: list[str] = []
    for flag in sorted(TABLE, key=lambda flag: flag.name):
        shown = f" (default {flag.default})" if flag.default not in ("", "false") else ""
        lines += [f"  -{flag.name} {flag.kind}".rstrip(), f"    \t{flag.help}{shown}"]
    return "\n".join(lines)
