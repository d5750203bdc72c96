"""`nodecache check`: what is wrong with a configuration, or what it will do.

It reads a Corefile, a manifest, a folder of either, or standard input; or, with the
agent's flags, what the agent would read. It changes nothing. The Corefile
that would be served goes to standard output, followed by comments, one line for each
block; errors and warnings go to standard error, each with file and line. Without
arguments in an agent's container, it takes those of the agent.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nodecache.config.cluster_dns import ClusterDns, cluster_dns
from nodecache.config.flags import FlagError, Flags, HelpWanted, flag_usage, parse_flags
from nodecache.config.plan import check_places
from nodecache.config.rendering import (
    CorefileText,
    cluster_dns_addresses,
    corefile_text,
    service_variable,
)
from nodecache.config.services import look_up
from nodecache.corefile import Corefile, CorefileError
from nodecache.worker.pods import SERVICE, pods_now

from .agent_arguments import AGENT, agent_arguments
from .sources import (
    UNKNOWN_ADDRESS,
    NoConfiguration,
    Source,
    SourceFolder,
    faults_of,
    is_manifest,
    source_folder,
    sources_at,
)
from .summary import summary

_USAGE = """Usage of nodecache check:
Tells what is wrong with a Corefile, or prints it as it would be served and what it does.
The exit status is 1 if something is wrong with it, and 2 if with the command line.

  nodecache check                (in a container: what its agent reads)
  nodecache check Corefile       (that file, as it stands)
  nodecache check manifest.yaml  (the Corefile of its ConfigMap, with the arguments of its container)
  nodecache check deploy/        (every Corefile and manifest in a folder)
  kubectl get cm -n kube-system node-local-dns -o yaml | nodecache check -
  nodecache check --diff OLD NEW (what the change from one to the other means for pods)
  nodecache check -localip 169.254.20.10 -basecorefile Corefile.base -kubednscm kube-dns/

The address of the Service of -upstreamsvc comes from the environment, as in a pod:
  KUBE_DNS_SERVICE_HOST=10.96.0.10 nodecache check …

The flags are the agent's:
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A configuration that was read, as it would be served."""

    text: CorefileText
    corefile: Corefile

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong and would be left out."""
        return (*self.text.left_out, *self.corefile.left_out, *self.corefile.unfilled)


def main(
    argv: Sequence[str], env: Mapping[str, str] = os.environ, agent_command: str = AGENT
) -> int:
    """Check what is named. The exit status: 0, 1 for mistakes, 2 for usage."""
    try:
        if argv[:1] == ["--diff"]:
            return _diff(argv[1:], env)
        if len(argv) == 1 and is_manifest(argv[0]):
            return _check_sources(argv[0], env)
        return _check_flags(argv, env, agent_command)
    except HelpWanted:
        _tell(_USAGE + flag_usage())
        return 0
    except FlagError as error:
        _tell(f"nodecache check: {error}")
        return 2
    except NoConfiguration as error:
        _tell(str(error))
        return 1


# What the agent would read


def _check_flags(argv: Sequence[str], env: Mapping[str, str], agent_command: str) -> int:
    if argv and not argv[0].startswith("-"):
        argv = ["-basecorefile=", "-conf", *argv]
    flags = parse_flags(argv or agent_arguments(agent_command), is_served=False)
    try:
        checked = _read(flags, env, is_beside_agent=not argv)
    except CorefileError as error:
        _tell(*faults_of(error))
        return 1
    base = flags.base_corefile
    if not checked.text.is_rendered and _names_base(argv) and base:
        _tell(
            f"warning: {base} is not there (-basecorefile): {checked.text.file} is read as it stands"
        )
    _show(checked)
    cluster = cluster_dns(checked.corefile, cluster_dns_addresses(checked.text, flags, env))
    if cluster is not None:
        print(f"# {_pods(checked.corefile, cluster, flags, is_asked=not argv)}")
    return 1 if checked.faults else 0


def _read(flags: Flags, env: Mapping[str, str], *, is_beside_agent: bool = False) -> Checked:
    text = corefile_text(flags, env, look_up if is_beside_agent else None)
    corefile = text.parse(flags, env)
    check_places(corefile, flags)
    return Checked(text=text, corefile=corefile)


def _show(checked: Checked, said: Callable[[object], str] = str) -> None:
    _tell(*(f"warning: {said(warning)}" for warning in checked.corefile.warnings))
    print(said(checked.text.text))
    for block in checked.corefile.blocks:
        print(f"# {said(summary(block))}")
    _tell(*map(said, checked.faults))


def _pods(corefile: Corefile, cluster: ClusterDns, flags: Flags, *, is_asked: bool) -> str:
    """How kube-dns' pods are listed; and, in an agent's container, their addresses now."""
    if flags.endpoints == "api":
        origin = f"as the EndpointSlices of {flags.upstream_service} tell them"
    else:
        origin = f"as {cluster.address} tells them of {SERVICE}.{cluster.domain}"
    if not is_asked:
        return f"kube-dns' pods are asked themselves, {origin}"
    hosts = asyncio.run(pods_now(corefile, cluster, flags))
    if hosts is None:
        return f"kube-dns' pods are asked themselves, {origin}; nobody answers now"
    return f"kube-dns' pods are {' '.join(hosts) or 'nobody now'}, {origin}"


def _names_base(argv: Sequence[str]) -> bool:
    """Whether the command line names a base Corefile."""
    return any(word.lstrip("-").partition("=")[0] == "basecorefile" for word in argv)


# What people have in hand


def _check_sources(path: str, env: Mapping[str, str]) -> int:
    sources, not_understood = sources_at(path)
    _tell(*not_understood)
    status = 1 if not_understood else 0
    for source in sources:
        try:
            status = max(status, _check_source(source, env))
        except NoConfiguration as error:
            _tell(error)
            status = 1
    return status


def _check_source(source: Source, env: Mapping[str, str]) -> int:
    with source_folder(source) as folder:
        try:
            checked = _read_folder(folder, env)
        except CorefileError as error:
            _tell(*map(folder.relabel, faults_of(error)))
            return 1
        _show(checked, folder.relabel)
    return 1 if checked.faults else 0


def _read_folder(folder: SourceFolder, env: Mapping[str, str]) -> Checked:
    flags = folder.flags
    return _read(flags, {service_variable(flags.upstream_service): UNKNOWN_ADDRESS, **env})


# What a change means

_NO_BLOCK = ("has no block: the one above it answers, or nobody",)


def _diff(paths: Sequence[str], env: Mapping[str, str]) -> int:
    """Print what changes for pods from one configuration to another."""
    if len(paths) != 2:
        raise FlagError("--diff: wants two configurations, OLD and NEW")
    old, new = (_zones_at(path, env) for path in paths)
    lines = [line for zone in dict.fromkeys([*old, *new]) for line in _changed(zone, old, new)]
    print("\n".join(lines) or "nothing changes for pods")
    return 0


def _zones_at(path: str, env: Mapping[str, str]) -> dict[str, list[str]]:
    """What each zone does at each place where it is served, by the zone's key."""
    zones: dict[str, list[str]] = {}
    sources, not_understood = sources_at(path)
    if not_understood:
        raise not_understood[0]
    for source in sources:
        with source_folder(source) as folder:
            try:
                checked = _read_folder(folder, env)
            except CorefileError as error:
                raise NoConfiguration("\n".join(map(folder.relabel, faults_of(error)))) from None
            for block in checked.corefile.blocks:
                _, _, does = folder.relabel(summary(block)).partition(" on ")
                for zone in block.zones:
                    zones.setdefault(str(zone).removeprefix("dns://"), []).append(does)
    return zones


def _changed(
    zone: str, old: Mapping[str, Sequence[str]], new: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    before, after = old.get(zone, _NO_BLOCK), new.get(zone, _NO_BLOCK)
    lines = [f"  - {does}" for does in before if does not in after]
    lines += [f"  + {does}" for does in after if does not in before]
    yield from [zone, *lines] if lines else ()


def _tell(*lines: object) -> None:
    for line in lines:
        print(line, file=sys.stderr)
