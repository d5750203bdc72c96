"""The worker process: everything that answers queries, on one uvloop.

It is forked by the keeper with the listening sockets and a valid configuration in hand, builds
zones and listeners from them, and says so. What it is told over the channel: a new configuration,
the host's numbers, to stop.
"""

import asyncio
import contextlib
import errno
import gc
import logging
import mmap
import os
import pickle
import signal
import sys
from collections.abc import Mapping, Sequence
from time import monotonic

import uvloop

from nodecache.cache import Budget
from nodecache.config.flags import Flags
from nodecache.config.source import Config
from nodecache.forward import Network, Pod, UpstreamRegistry
from nodecache.host import privileges
from nodecache.process import log as logs
from nodecache.process.channel import Channel, close_descriptors
from nodecache.process.listen import ListenAddress
from nodecache.process.memory_file import open_sealed
from nodecache.process.messages import LostDescriptors, MalformedControlMessage, Message
from nodecache.process.protocol import MAX_CACHE_OCTETS, MAX_REASON_OCTETS
from nodecache.process.sockets import Sockets, sockets_from
from nodecache.process.vitals import KeeperVitals
from nodecache.server import InflightLimiter, Journal

from . import cache_transfer
from .assembly import WorkerContext
from .control import Control
from .control_commands import commands
from .pages import Pages
from .pods import ClusterPods, api_lister
from .serving import Serving

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 0.5
_CACHE_OCTETS_SENT = 64 << 20  # to the next agent, where the cache has no budget
DRAIN_SECONDS = 5.0  # what clients may still wait for when we are told to stop
_MAX_CONFIGURATION_OCTETS = 64 << 20
# The garbage collector looks at young objects in lots of 700, at those that outlived it after two
# more: 2,100 objects, less than a millisecond. Old ones, a whole cache, it never looks at by chance: half
# a million entries stop the world for 150 ms. Nothing here makes cycles in its daily work, so that
# little waits for it: closed connections clear their references, caches are emptied before they are dropped.
COLLECT_AT = (700, 2, 1_000_000)
# From 3.14 on the second number says how small a part of the old objects is looked at each time.
COLLECT_AT_3_14 = (700, 1000, 0)
_FULL_COLLECTION_UP_TO = 3_000  # entries; with their finished replies 1 to 2 ms

# Large files are read in a thread, which so often looks whether a query waits for the interpreter.
_GIVES_WAY_SECONDS = 0.0005


class Agent:
    """One worker's life."""

    def __init__(
        self,
        flags: Flags,
        channel: Channel,
        vitals: KeeperVitals,
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._flags = flags
        self._channel = channel
        self._loop = loop
        self._stopped = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._beats = 0
        self._ticks = 0
        self._context = WorkerContext(
            loop, UpstreamRegistry(Network(loop)), Budget(), InflightLimiter()
        )
        self._pods = ClusterPods(self._context.upstreams, self._tell_pods, api_lister(flags))
        self._serving = Serving(self._context, journal, self._pods)
        self._pages = Pages(flags, self._serving, vitals)
        self._control = Control(flags.control, commands(self._serving))

    async def run(self, config: Config, sockets: Mapping[ListenAddress, Sockets]) -> None:
        """Serve until told to stop, then answer what is left."""
        await self._serving.begin(config, sockets)
        await self._pages.change_to(config)
        await self._control.begin()
        self._drop_privileges()
        self._loop.add_reader(self._channel.fileno(), self._on_keeper_says)
        self._loop.add_signal_handler(signal.SIGTERM, self._stopped.set)
        gc.freeze()  # what is made by now stays: not to be looked at again
        self._tick()
        self._pages.readiness.tell("sockets", is_met=True)
        self._channel.send("ready")
        self._pods.change_to(config.corefile, config.cluster_dns)
        await self._stopped.wait()
        await self._drain()

    def _drop_privileges(self) -> None:
        """Give up root before any octet of a stranger is read; what needs root is open by now."""
        if os.geteuid() == 0 and self._flags.user is not None:
            privileges.become_worker(*self._flags.user)

    # What the keeper says

    def _on_keeper_says(self) -> None:
        while True:
            try:
                message = self._channel.receive()
            except BlockingIOError:
                return
            except MalformedControlMessage as error:
                self._on_malformed(error)
                continue
            if message is None:  # the keeper is gone: nobody manages the host any more
                os._exit(1)
            self._handle_message(message)

    def _on_malformed(self, error: MalformedControlMessage) -> None:
        """A malformed message of the keeper: a fault of ours, or no descriptors are left."""
        log.error("the keeper is not understood: %s", error)
        if isinstance(error, LostDescriptors) and error.kind == "reload":
            self._refuse(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))

    def _handle_message(self, message: Message) -> None:
        match message.kind:
            case "reload":
                self._loop.create_task(self._reload(message))
            case "vitals":
                vitals = KeeperVitals.from_fields(message.fields["vitals"])
                self._pages.take_vitals(vitals, message.fields["reload_failures"])
            case "pause":
                self._serving.pause(ListenAddress(*each) for each in message.fields["dropped"])
                self._pages.release_addresses(message.fields["pages"])
                self._channel.send("paused")
                if message.fields["has_successor"]:
                    self._loop.create_task(self._send_cache())
            case "cache":
                self._loop.create_task(self._take_cache(message.descriptors[0]))
            case "resume":
                self._loop.create_task(self._resume())
            case "stop":
                self._stopped.set()

    async def _send_cache(self) -> None:
        """Send the cache to the agent that has taken over."""
        max_octets = min(self._context.budget.limit or _CACHE_OCTETS_SENT, MAX_CACHE_OCTETS)
        descriptor = await cache_transfer.write(self._serving.built, max_octets, monotonic())
        self._channel.send("cache", [descriptor])
        os.close(descriptor)

    async def _take_cache(self, descriptor: int) -> None:
        """Take in the cache of the previous agent."""
        try:
            taken = await cache_transfer.read(descriptor, self._serving.built)
        except MalformedControlMessage as error:
            log.warning("the cache of the previous agent is not taken: %s", error)
            return
        gc.freeze()
        log.info("%d answers kept by the previous agent are ours now", taken)

    async def _resume(self) -> None:
        """Read the sockets again: the agent that had taken over is gone."""
        await self._serving.resume()
        if self._serving.config is not None:
            await self._pages.change_to(self._serving.config)

    async def _reload(self, message: Message) -> None:
        """Put a new configuration in force, or refuse it, and tell the keeper; one after the other."""
        async with self._reloading:
            await self._take(message)

    async def _take(self, message: Message) -> None:
        """Put a configuration in force; any exception is a refusal, since the keeper waits for an answer."""
        sockets: dict[ListenAddress, Sockets] = {}
        try:
            config, sockets = received_configuration(message)
            await self._serving.change_to(config, sockets)
        except Exception as error:
            if not isinstance(error, OSError | ValueError):
                log.exception("the new configuration cannot be built")
            for pair in sockets.values():
                pair.close()
            self._refuse(error)
            return
        try:
            await self._pages.change_to(config)
            self._pods.change_to(config.corefile, config.cluster_dns)
        except Exception:  # it is served by now
            log.exception("not all that goes with the new configuration could be changed")
        gc.freeze()
        self._channel.send("reloaded")

    def _refuse(self, error: Exception) -> None:
        why = str(error) or type(error).__name__
        self._channel.send("refused", why=why[:MAX_REASON_OCTETS])

    # The passing of time

    def _tick(self) -> None:
        """Send a sign of life, twice a second, and do the periodic work every other time."""
        self._loop.call_later(HEARTBEAT_SECONDS, self._tick)
        self._channel.send("alive")
        self._beats += 1
        if self._beats % 2 == 0:
            return
        try:
            self._do_chores()
        except Exception:
            log.exception("a chore could not be done")

    def _do_chores(self) -> None:
        logs.tick()
        self._serving.tick(monotonic())
        self._pods.tick(monotonic())
        self._pages.tick()
        self._ticks += 1
        if self._ticks % 60 == 0 and self._serving.entries < _FULL_COLLECTION_UP_TO:
            gc.collect()

    def _tell_pods(self, pods: Sequence[Pod]) -> None:
        """Have the keeper put kube-dns' pods into the packet rules."""
        told = [(pod.host, pod.udp_port, pod.tcp_port) for pod in pods]
        self._channel.send("pods", pods=told)

    async def _drain(self) -> None:
        """Read no more, answer what is queued and in flight, within bounds."""
        self._control.close()
        self._serving.stop_reading()
        all_answered = asyncio.Event()
        self._context.limiter.when_empty(all_answered.set)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await all_answered.wait()
        self._serving.close()
        await asyncio.sleep(0)  # one turn, for what is written to leave
        self._pages.close()


def received_configuration(message: Message) -> tuple[Config, dict[ListenAddress, Sockets]]:
    """The configuration and sockets in the keeper's message. OSError if descriptors were lost: none were left.

    A pickle is read here only, by the worker, and written by the keeper only.
    """
    descriptor, *lent = message.descriptors
    try:
        with open_sealed(descriptor, _MAX_CONFIGURATION_OCTETS) as file:
            config, addresses = pickle.load(file)  # noqa: S301 - our keeper's
    except Exception:
        close_descriptors(lent)
        raise
    if len(lent) != 2 * len(addresses):
        close_descriptors(lent)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return config, dict(zip(addresses, sockets_from(lent), strict=True))


def main(
    flags: Flags,
    config: Config,
    sockets: Mapping[ListenAddress, Sockets],
    channel: Channel,
    vitals: KeeperVitals,
    memory: mmap.mmap,
) -> int:
    """Be a worker until told to stop; the exit status. Runs in a forked child."""
    privileges.die_with_parent(signal.SIGKILL)
    logs.configure(flags.log_format)
    sys.setswitchinterval(_GIVES_WAY_SECONDS)
    gc.set_threshold(*(COLLECT_AT if sys.version_info < (3, 14) else COLLECT_AT_3_14))

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        await Agent(flags, channel, vitals, Journal(memory), loop).run(config, sockets)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
    logs.write_summaries_now()
    return 0
