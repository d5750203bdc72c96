"""The command line of `nodecache doctor`."""

import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from nodecache.command.agent_arguments import agent_arguments
from nodecache.config.flags import FlagError, HelpWanted, flag_usage, parse_flags
from nodecache.config.services import look_up
from nodecache.host.commands import Command, run_now

from . import agent, files, network, node, others
from .findings import Finding, as_json, as_text, worst
from .subject import Subject, metrics_of

_LISTING_SECONDS = 2.0

_USAGE = """Usage of nodecache doctor:
Looks at an agent and its node, and says what is wrong, what that means for pods, and what mends it.
It changes nothing. The exit status is 0 where all is well, 1 for something to look at, 2 for
something broken.

  kubectl -n kube-system exec ds/node-local-dns -- nodecache doctor [--json]
  nodecache doctor -conf Corefile        (on a laptop: what can be told from files)

The flags are the agent's; without any, in an agent's container, those that the agent has:
"""


def main(argv: Sequence[str], env: Mapping[str, str] = os.environ, root: Path = Path("/")) -> int:
    """Run all checks and print their findings; the exit status is the worst level."""
    is_json = "--json" in argv
    words = [word for word in argv if word != "--json"]
    try:
        flags = parse_flags(words or agent_arguments(), is_served=False)
    except HelpWanted:
        print(_USAGE + flag_usage(), file=sys.stderr)
        return 0
    except FlagError as error:
        print(f"nodecache doctor: {error}", file=sys.stderr)
        return 2
    corefile, found = files.read_corefile(flags, dict(env), None if words else look_up)
    metrics, is_silent = None, False
    try:
        metrics = metrics_of(flags)
    except TimeoutError:
        is_silent = True
    subject = Subject(
        flags=flags,
        env=env,
        root=root,
        metrics=metrics,
        is_silent=is_silent,
        corefile=corefile,
        run=_listed,
    )
    found += examine(subject)
    print(as_json(found) if is_json else as_text(found))
    return worst(found)


def examine(subject: Subject) -> list[Finding]:
    """The findings of all checks, which run at the same time, in a fixed order."""
    checks = (
        files.check_resolvers,
        files.check_kubelet,
        agent.check_agent,
        network.check_sockets,
        node.check_kernel,
        node.check_interface,
        node.check_rules,
        others.check_others,
        partial(network.check_interception, read_again=partial(metrics_of, subject.flags)),
        agent.check_pods,
        network.check_upstreams,
        node.check_conntrack,
        agent.check_memory,
        agent.check_cpu,
        agent.check_descriptors,
    )
    with ThreadPoolExecutor(len(checks)) as pool:
        found = pool.map(lambda check: list(check(subject)), checks)
        return [finding for each in found for finding in each]


def _listed(argv: tuple[str, ...]) -> str | None:
    """The output of a program on the host; None if it cannot be run."""
    result = run_now(Command(argv, deadline_seconds=_LISTING_SECONDS))
    return result.stdout if result.is_ok else None
