"""Starts a keeper from the flags: everything is checked before anything is changed."""

import logging
import os
from time import monotonic

from nodecache.config.flags import Flags
from nodecache.config.source import ConfigSource
from nodecache.corefile import CorefileError
from nodecache.host import Guard, Host, HostError, HostOptions
from nodecache.keeper.keeper import Keeper
from nodecache.process.descriptors import raise_limit
from nodecache.process.sockets import CannotListen
from nodecache.worker import agent

from .interfaces import interface_addresses

log = logging.getLogger(__name__)


def run(flags: Flags) -> int:
    """Read the configuration, and run an agent until told to stop; returns the exit status."""
    raise_limit()
    try:
        host = Host(host_options(flags)) if flags.sets_up_host else None
        if host is not None:
            host.check_needs()
        if flags.endpoints == "api":
            import nodecache.worker.slices  # noqa: F401, PLC0415 - few want it; here it is shared
        source = ConfigSource(flags, os.environ, interface_addresses, monotonic())
        config = source.read_or_last_good()
        guard = Guard(host) if host is not None else None
        return Keeper(flags, source, config, guard, agent.main).run()
    except CorefileError as error:
        for each in error.all:
            log.critical("%s", each)
    except ModuleNotFoundError as error:
        log.critical("-endpoints api: %s (pip install nodecache[endpointslices])", error)
    except (HostError, CannotListen, OSError) as error:
        log.critical("%s", error)
    return 1


def host_options(flags: Flags) -> HostOptions:
    """The host options in the flags."""
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
