"""`nodecache check`: what is wrong with a configuration, or what it will do.

It takes the agent's flags and reads what the agent would read, but touches nothing. The Corefile
that would be served goes to standard output, and below it, as comments, a line for each of its
blocks; errors and warnings go to standard error, all of them, each with file and line. Without
arguments in an agent's container, it takes those of the agent.
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

from nodecache.config.cluster_dns import ClusterDns, cluster_dns
from nodecache.config.flags import FlagError, Flags, HelpWanted, parse_flags, usage
from nodecache.config.rendering import check_templates, cluster_dns_addresses, corefile_text
from nodecache.config.services import look_up
from nodecache.corefile import Corefile, CorefileError
from nodecache.worker.pods import SERVICE, pods_now

from .agent_arguments import AGENT, agent_arguments
from .summary import summary

_USAGE = """Usage of nodecache check:
Tells what is wrong with a Corefile, or prints it as it would be served and what it does.
The exit status is 1 if something is wrong with it, and 2 if with the command line.

  nodecache check                (in a container: what its agent reads)
  nodecache check Corefile       (that file, as it stands)
  nodecache check -localip 169.254.20.10 -basecorefile Corefile.base -kubednscm kube-dns/

The address of the Service of -upstreamsvc comes from the environment, as in a pod:
  KUBE_DNS_SERVICE_HOST=10.96.0.10 nodecache check …

The flags are the agent's:
"""


def main(
    argv: Sequence[str], env: Mapping[str, str] = os.environ, agent_command: str = AGENT
) -> int:
    """Check a file or what the flags name. The exit status: 0, 1 for what is wrong, 2 for usage."""
    if argv and not argv[0].startswith("-"):
        argv = ["-basecorefile=", "-conf", *argv]
    try:
        flags = parse_flags(argv or agent_arguments(agent_command), is_served=False)
    except HelpWanted:
        _tell(_USAGE + usage())
        return 0
    except FlagError as error:
        _tell(f"nodecache check: {error}")
        return 2
    try:
        text = corefile_text(flags, env, None if argv else look_up)
        corefile = text.parse(flags, env)
        check_templates(corefile)
    except CorefileError as error:
        _tell(*map(str, error.all))
        return 1
    base = flags.base_corefile
    if not text.is_rendered and _names_base(argv) and base:
        _tell(f"warning: {base} is not there (-basecorefile): {text.file} is read as it stands")
    _tell(*(f"warning: {warning}" for warning in corefile.warnings))
    print(text.text)  # noqa: T201
    for block in corefile.blocks:
        print(f"# {summary(block)}")  # noqa: T201
    cluster = cluster_dns(corefile, cluster_dns_addresses(text, flags, env))
    if cluster is not None:
        print(f"# {_pods(corefile, cluster, flags, is_asked=not argv)}")  # noqa: T201
    faults = (*text.left_out, *corefile.left_out, *corefile.unfilled)
    _tell(*faults)
    return 1 if faults else 0


def _pods(corefile: Corefile, cluster: ClusterDns, flags: Flags, *, is_asked: bool) -> str:
    """Where kube-dns' pods are asked for; and, beside an agent that asks kube-dns, who they are now."""
    if flags.endpoints == "api":
        service = flags.upstream_service
        return f"kube-dns' pods are asked themselves, as the EndpointSlices of {service} tell them"
    origin = f"as {cluster.address} tells them of {SERVICE}.{cluster.domain}"
    if not is_asked:
        return f"kube-dns' pods are asked themselves, {origin}"
    hosts = asyncio.run(pods_now(corefile, cluster))
    return f"kube-dns' pods are {' '.join(hosts) or 'nobody now'}, {origin}"


def _tell(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201


def _names_base(argv: Sequence[str]) -> bool:
    """Whether the command line names a base Corefile."""
    return any(word.lstrip("-").partition("=")[0] == "basecorefile" for word in argv)
