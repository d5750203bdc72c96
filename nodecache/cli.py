"""The command line: what the container image runs, and the subcommands for people."""

import logging
import os
import platform
import sys
from collections.abc import Sequence
from time import monotonic

from nodecache import __version__
from nodecache import log as logs
from nodecache.config import ConfigSource
from nodecache.corefile import CorefileError
from nodecache.corefile.options import CHAIN
from nodecache.flags import FlagError, Flags, HelpWanted, parse_flags
from nodecache.host import Guard, Host, HostError, HostOptions, netlink
from nodecache.keeper import Keeper
from nodecache.sockets import CannotListen

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand, or the agent; the exit status: 0, 1 for what cannot work, 2 for usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["check"]:
        from nodecache import check  # noqa: PLC0415 - not needed by the agent

        return check.main(arguments[1:])
    try:
        flags = parse_flags(arguments)
    except HelpWanted as wanted:
        print(wanted, file=sys.stderr)  # noqa: T201
        return 0
    except FlagError as error:
        print(f"nodecache: {error}", file=sys.stderr)  # noqa: T201
        return 2
    if flags.version:
        print(version())  # noqa: T201
        return 0
    if flags.plugins:
        print("Directives:", *(f"dns.{name}" for name in sorted(CHAIN)), sep="\n  ")  # noqa: T201
        return 0
    return run(flags)


def version() -> str:
    """Ours, and what we run on."""
    system = f"{platform.system().lower()}/{platform.machine()}"
    return f"nodecache-{__version__}\n{system}, Python {platform.python_version()}"


def run(flags: Flags) -> int:
    """Read the configuration, and keep an agent until told to stop."""
    logs.configure(form=flags.log_format)
    log.info("Starting nodecache: %s", __version__)
    try:
        host = Host(host_options(flags)) if flags.sets_up_host else None
        if host is not None:
            host.check_needs()
        source = ConfigSource(flags, os.environ, interface_addresses, monotonic())
        config = source.read_or_last_good()
        keeper = Keeper(flags, source, Guard(host) if host is not None else None)
        return keeper.run(config)
    except CorefileError as error:
        for each in error.all:
            log.critical("%s", each)
    except (HostError, CannotListen, OSError) as error:
        log.critical("%s", error)
    return 1


def interface_addresses(name: str) -> list[str]:
    """The addresses that an interface has now, for `bind NAME`."""
    netlink.load()
    asking = netlink.Netlink()
    try:
        link = asking.link(name)
        held = asking.addresses(index=link.index) if link is not None else []
    finally:
        asking.close()
    # A link-local IPv6 address means nothing without its interface: RFC 4007 §11.
    return [
        f"{each.address}%{name}"
        if each.address.is_link_local and each.address.version == 6
        else str(each.address)
        for each in held
    ]


def host_options(flags: Flags) -> HostOptions:
    """What the flags ask of the node."""
    return HostOptions(
        addresses=flags.local_ips,
        interface=flags.interface_name,
        interface_kind=flags.interface_kind,
        setup_interface=flags.setup_interface,
        rules=flags.rules,
        dns_port=flags.dns_port,
        health_port=flags.health_port,
        lease_seconds=flags.lease_seconds,
        leased=flags.leased,
        fallback=flags.fallback,
        sync_seconds=flags.sync_seconds,
        skip_teardown=flags.skip_teardown,
    )
