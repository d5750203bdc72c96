"""Where `forward` sends queries: addresses, resolv.conf files, host names; and the options of TLS."""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from .values import is_ip, port, split_host_port

_DEFAULT_PORTS = {"dns": 53, "tls": 853, "https": 443}
_HOST_NAME = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*"
    r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?"
)


@dataclass(frozen=True, slots=True)
class Destination:
    """One destination of a `forward`."""

    kind: Literal["address", "file", "name"]
    host: str
    """An address literal (with its scope, if any), a file's path, or a host name."""
    port: int = 53
    scheme: Literal["dns", "tls", "https"] = "dns"
    server_name: str = ""
    """The name to check a TLS certificate by: `tls://9.9.9.9%dns.quad9.net`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """`tls`: empty names are none; without an authority, the system's are trusted."""

    certificate_file: str = ""
    key_file: str = ""
    authority_file: str = ""


class NobodyThere(ValueError):
    """No server can be there; the other TOs can be asked."""


def destination(word: str) -> Destination:
    """Read one TO of `forward`: `IP`, `IP:PORT`, `tls://IP%NAME:PORT`, a file, or a host name."""
    if "__PILLAR__" in word:
        raise ValueError(f"must be filled in: nothing was put in the place of {word!r}")
    scheme, rest = _split_scheme(word)
    if scheme == "https" and "/" in rest:
        raise ValueError(f"must have no path (/dns-query is asked), not {word!r}")
    rest, name = _split_server_name(rest) if scheme != "dns" else (rest, "")
    host, number = _split_port(rest, _DEFAULT_PORTS[scheme], word)
    kind: Literal["address", "file", "name"]
    if is_ip(host):
        kind = "address"
    elif is_ip(rest.partition("/")[0]):
        raise NobodyThere(f"must be an address, not a network: {word!r}")
    elif scheme == "dns" and "/" in rest:
        return Destination("file", rest)
    elif _HOST_NAME.fullmatch(host) and not is_like_ipv4(host):
        kind = "name"
    else:
        raise ValueError(
            f"must be an IP address, a file like resolv.conf or a host name, not {word!r}"
        )
    return Destination(kind, host, number, scheme, name and server_name(name))


def _split_scheme(word: str) -> tuple[Literal["dns", "tls", "https"], str]:
    scheme, separator, rest = word.partition("://")
    if not separator:
        return "dns", word
    match scheme:
        case "dns" | "tls" | "https":
            return scheme, rest
        case _:
            raise ValueError(f"must be reached over dns://, tls:// or https://, not {word!r}")


def _split_server_name(rest: str) -> tuple[str, str]:
    """`IP%NAME:PORT` and `[IP%NAME]:PORT` → `IP:PORT` and the name."""
    before, percent, after = rest.rpartition("%")
    if not percent:
        return rest, ""
    name, colon, number = after.partition(":")
    closing = "]" if before.startswith("[") else ""
    return before + closing + colon + number, name.removesuffix("]")


def server_name(word: str) -> str:
    """The name on a server's certificate, without a last dot: Go takes that off, OpenSSL does not."""
    if not (is_ip(word) or _HOST_NAME.fullmatch(word)):
        raise NobodyThere(f"must name the server by a host name, not {word!r}")
    return word.removesuffix(".")


def _split_port(rest: str, default: int, word: str) -> tuple[str, int]:
    """A host and its port; brackets around an address without one are taken off."""
    try:
        host, number = split_host_port(rest)
    except ValueError:
        return rest.strip("[]"), default
    try:
        return host, port(number)
    except ValueError:
        raise NobodyThere(f"must have a port from 1 to 65535, not {word!r}") from None


def is_like_ipv4(host: str) -> bool:
    """Whether the last label is all digits: no host name ends so (RFC 1123 §2.1)."""
    return host.rstrip(".").rpartition(".")[2].isdigit()


def nameservers(resolv_conf: str) -> tuple[Destination, ...]:
    """The `nameserver` lines of a resolv.conf's text, in order, without doubles (resolv.conf(5)).

    A link-local address keeps its scope, without which it cannot be asked (RFC 4007 §11; CoreDNS drops it).
    What is not an address is passed over, as libc does. Brackets and a port are as in OpenBSD's resolv.conf(5).
    """
    found: dict[Destination, None] = {}
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            with suppress(ValueError):
                named = destination(words[1])
                if (named.kind, named.scheme) == ("address", "dns"):
                    found[named] = None
    return tuple(found)
