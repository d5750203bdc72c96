"""What the files on this node say now, as one Corefile.

The base Corefile with its placeholders filled in and the ConfigMap kube-dns added; or `-conf` as it
stands, where there is no base Corefile. Messages name the line of the file that people edit, which
is the base Corefile and not what is made of it. Whatever is wrong is a CorefileError.
"""

import contextlib
import errno
import fnmatch
import glob
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from nodecache.corefile import (
    KEYS,
    NO_KUBE_DNS,
    Corefile,
    CorefileError,
    KubeDns,
    PillarValues,
    line_needing_cluster_dns,
    parse,
    read_kubedns,
    render,
)
from nodecache.corefile.lexer import Origin
from nodecache.corefile.stream import Sources
from nodecache.corefile.values import ip

from .cluster_dns import usual_forms
from .flags import Flags
from .state import StoredCorefile

DEFAULT_KUBEDNS_FOLDER = "/etc/kube-dns"
_DEFAULT_CONF = "Corefile"
_KUBE_DNS_SERVICE = "kube-dns"  # what pods ask, in nearly every cluster

Env = Mapping[str, str]
Lookup = Callable[[str], IPv4Address | IPv6Address | None]
"""The address of a Service by its name, where the environment does not have it."""


@dataclass(frozen=True, slots=True)
class CorefileText:
    """A Corefile's text. `file` is its place on disk; imports start from there."""

    text: str
    file: str
    is_rendered: bool = False
    origin: Origin | None = None
    cluster_dns: str | None = None
    """What took the place of `__PILLAR__CLUSTER__DNS__`."""
    imports: Mapping[str, str] | None = None
    """The files there are to import, by path; None are those on the disk."""
    kube_dns: KubeDns = NO_KUBE_DNS
    """What was made of the ConfigMap kube-dns."""
    left_out: tuple[str, ...] = ()
    """What is wrong in that and was left out, or is as it was before."""

    def parse(self, flags: Flags, env: Env) -> Corefile:
        """Read it, its templates too. Raises CorefileError."""
        is_on_disk = self.imports is None
        corefile = parse(
            self.text,
            self.file,
            env=env,
            default_port=flags.dns_port,
            read=read_text if is_on_disk else self._read_kept,
            glob=glob.glob if is_on_disk else self._glob_kept,
            origin=self.origin,
        )
        check_templates(corefile)
        return corefile

    def _read_kept(self, path: str) -> str:
        assert self.imports is not None
        if path not in self.imports:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self.imports[path]

    def _glob_kept(self, pattern: str) -> list[str]:
        depth = pattern.count("/")  # fnmatch's * goes past slashes, and glob's does not
        found = fnmatch.filter(self.imports or (), pattern)
        return [path for path in found if path.count("/") == depth]


def stored_text(kept: StoredCorefile, flags: Flags, state_file: str) -> CorefileText:
    """The Corefile that an earlier run stored; messages name the file it was stored in."""
    conf = flags.conf or _DEFAULT_CONF
    return CorefileText(
        kept.text,
        conf,
        origin=lambda line: (state_file, line),
        imports=kept.imports,
        kube_dns=kept.kube_dns,
    )


def corefile_text(
    flags: Flags, env: Env, lookup: Lookup | None = None, before: KubeDns | None = None
) -> CorefileText:
    """The text that is to be served. Raises CorefileError.

    `before` is what the ConfigMap kube-dns said when it was last read: a key of it that is wrong
    now says the same still.
    """
    conf = flags.conf or _DEFAULT_CONF
    base_file = flags.base_corefile
    if not os.path.lexists(base_file):
        return CorefileText(_read(conf, _no_base(base_file)), conf)
    base = _read(base_file)
    folder = kubedns_folder(flags)
    said = _kube_dns(folder) if folder else NO_KUBE_DNS
    kube_dns = said.where_faulty(before)
    values = PillarValues(
        local_dns=flags.local_ip_texts,
        cluster_dns=_cluster_dns(base, base_file, flags.upstream_service, env, lookup),
        prometheus_endpoint=flags.prometheus_listen_address,
        dns_port=flags.dns_port,
        kube_dns=kube_dns,
    )
    rendered = render(base, values, Sources(env, read_text, glob.glob), conf)

    def origin(line: int) -> tuple[str, int]:
        base_line = rendered.base_line(line)
        return (base_file, base_line) if base_line else (f"{folder}/stubDomains", 1)

    faults = [*said.faults]
    faults += [("stubDomains", f"{name}: has a block already") for name in rendered.served_already]
    return CorefileText(
        rendered.text,
        conf,
        is_rendered=True,
        origin=origin,
        cluster_dns=values.cluster_dns,
        kube_dns=kube_dns,
        left_out=tuple(f"{folder}/{key}:1: {reason}" for key, reason in faults),
    )


def _no_base(base_file: str) -> str:
    """What else is missing where `-conf` is."""
    return f"; nor is there a base Corefile, {base_file} (-basecorefile)" if base_file else ""


def check_templates(corefile: Corefile) -> None:
    """Look at the `template`s, whose language the Corefile's reader does not know. CorefileError."""
    errors = []
    for block in corefile.blocks:
        for options in block.templates:
            from nodecache.server import check  # noqa: PLC0415 - the keeper does without, if it can

            if fault := check(replace(block, templates=(options,))):
                errors.append(CorefileError(options.file, options.line, fault))
    if errors:
        raise CorefileError.join(errors, corefile.imports)


def kubedns_folder(flags: Flags) -> str | None:
    """Where the ConfigMap kube-dns is mounted; None where it is not."""
    if flags.kubedns_folder:
        return flags.kubedns_folder
    return DEFAULT_KUBEDNS_FOLDER if Path(DEFAULT_KUBEDNS_FOLDER).is_dir() else None


def watched_paths(flags: Flags) -> tuple[str, ...]:
    """What the text is made from: files, and folders of files."""
    paths = [flags.base_corefile, flags.kubedns_folder or DEFAULT_KUBEDNS_FOLDER]
    if not os.path.lexists(flags.base_corefile):
        paths.append(flags.conf or _DEFAULT_CONF)
    return tuple(paths)


# The parts


def read_text(path: str) -> str:
    """A file's text; octets that are not in UTF-8 become U+FFFD, as CoreDNS reads them. OSError."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    if "\0" in text and "\N{REPLACEMENT CHARACTER}" in text:
        raise OSError(errno.EILSEQ, "it is no text", path)
    return text


def _read(path: str, beside: str = "") -> str:
    try:
        return read_text(path)
    except OSError as error:
        raise CorefileError(path, 1, _unreadable(error) + beside) from None


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror}"


def _kube_dns(folder: str) -> KubeDns:
    """What a mounted ConfigMap says in the keys that matter; none of them needs to be there.

    But the folder does: one that a flag names wrong would be taken for a ConfigMap without keys.
    """
    files: dict[str, str] = {}
    is_there = os.path.isdir(folder)  # noqa: PTH112 - Path's raises where the name is too long
    unread: list[tuple[str, str]] = []
    for key in KEYS:
        try:
            files[key] = read_text(f"{folder}/{key}")
        except OSError as error:
            if not is_there:
                unread.append((key, f"cannot be read: {folder} is no folder (-kubednscm)"))
            elif not isinstance(error, FileNotFoundError):
                unread.append((key, _unreadable(error)))
    said = read_kubedns(files)
    return replace(said, faults=(*unread, *said.faults))


def _cluster_dns(
    base: str, base_file: str, service: str, env: Env, lookup: Lookup | None
) -> str | None:
    """The Service's address, from the environment that kubelet gave us, or looked up.

    Kubelet tells a container the Services of its own namespace that were there before it started.
    """
    name = service_variable(service)
    written = env.get(name, "")
    try:
        return str(ip(written))
    except ValueError as error:
        why = f"the environment's {name} {error}"
    if not service:
        why = "-upstreamsvc names no Service"
    elif not written:
        why = (
            f"the environment has no {name}: is there a Service {service!r} with an address of its"
            " own in our namespace, and was it there before this pod?"
        )
    with contextlib.suppress(LookupError):
        return _looked_up(base, service, lookup)
    line = line_needing_cluster_dns(base)
    if line is None:
        return None
    raise CorefileError(base_file, line, f"__PILLAR__CLUSTER__DNS__: {why}")


def _looked_up(base: str, service: str, lookup: Lookup | None) -> str:
    """Ask only where the answer is needed. LookupError: nobody knows."""
    if lookup is None or not service or line_needing_cluster_dns(base) is None:
        raise LookupError
    address = lookup(service)
    if address is None:
        raise LookupError
    return str(address)


def cluster_dns_addresses(found: CorefileText, flags: Flags, env: Env) -> frozenset[str]:
    """Every address that kube-dns is known by: the one rendered, and those of its Services.

    Where `-endpoints off` says that its pods are not asked, there is none.
    """
    if flags.endpoints == "off":
        return frozenset()
    services = (flags.upstream_service, _KUBE_DNS_SERVICE)
    told = (env.get(service_variable(service), "") for service in services)
    return usual_forms((found.cluster_dns or "", *told))


def service_variable(service: str) -> str:
    """`kube-dns-upstream` → `KUBE_DNS_UPSTREAM_SERVICE_HOST`."""
    return service.upper().replace("-", "_") + "_SERVICE_HOST"
