"""The command line: every flag of node-cache and of the CoreDNS in it, and ours.

The syntax is that of Go's flag package: `-f v`, `-f=v` and `--f v` are the same; a boolean is `-b`
or `-b=false`, never `-b false`; the last of a repeated flag wins. `TABLE` is the one list of flags,
from which the reader, the defaults and the usage text are made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nodecache.corefile import values

from .flag_table import TABLE, Address, Flag


class FlagError(Exception):
    """A command line that cannot be used, in one line: `-dns.port: must be …, not 'x'`."""


class HelpWanted(Exception):
    """`-h` or `-help` was given. The text is the usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """A command line, read and checked. The flags stand in `TABLE`, with their defaults."""

    local_ips: tuple[Address, ...]
    local_ip_texts: tuple[str, ...]
    """`-localip` as written, blanks taken off: what takes the place of `__PILLAR__LOCAL__DNS__`."""
    setup_interface: bool
    interface_name: str
    interface_kind: str
    setup_iptables: bool
    rules: str
    sync_seconds: float
    lease_seconds: float
    leased: tuple[Address, ...] | None
    """None: every address that is not link-local."""
    fallback: tuple[Address, ...]
    skip_teardown: bool
    health_port: int
    dns_port: int
    metrics_listen_address: str
    prometheus_listen_address: str
    base_corefile: str
    conf: str
    kubedns_folder: str
    """"" is /etc/kube-dns where there is such a folder."""
    upstream_service: str
    endpoints: Literal["dns", "api", "off"]
    """Who tells kube-dns' pods: kube-dns, the API server, nobody."""
    state_folder: str
    """"" is no state."""
    control: str
    """The socket at which `nodecache explain` and `nodecache top` ask; "" is none."""
    pidfile: str
    user: tuple[int, int] | None
    """User and group id of the worker; None is the keeper's own."""
    log_format: Literal["text", "json"]
    reload_with_signal: bool
    quiet: bool
    version: bool
    plugins: bool

    @property
    def sets_up_host(self) -> bool:
        """Whether anything of the node is ours to set up."""
        return self.setup_interface or self.rules != "none"


def parse_flags(argv: Sequence[str], *, is_served: bool = True) -> Flags:
    """Read a command line without the program's name. Raises FlagError or HelpWanted.

    What is only looked at and not served (`is_served`) needs no addresses.
    """
    fields: dict[str, Any] = {flag.field: flag.read(flag.default) for flag in TABLE}
    for flag, word in _given(argv):
        try:
            fields[flag.field] = flag.read(word)
        except ValueError as error:
            raise FlagError(f"-{flag.name}: {error}") from None
    del fields["ignored"]
    fields["local_ip_texts"] = fields["local_ips"]
    fields["local_ips"] = tuple(values.ip(text) for text in fields["local_ips"])
    if not fields["setup_iptables"]:
        fields["rules"] = "none"
    flags = Flags(**fields)
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
    if flag.is_switch:
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


_BY_NAME = {flag.name: flag for flag in TABLE}


def flag_names() -> list[str]:
    """Every flag, in the order of the alphabet."""
    return sorted(flag.name for flag in TABLE)


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
