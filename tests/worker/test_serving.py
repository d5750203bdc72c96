"""A configuration is taken whole or not at all."""

import asyncio
import gc
import logging
import mmap
import socket

import pytest

from nodecache.cache import Budget
from nodecache.config.flags import Flags, parse_flags
from nodecache.config.plan import served_zones
from nodecache.config.source import Config
from nodecache.corefile import own_options
from nodecache.forward import Network, UpstreamRegistry
from nodecache.process.channel import channel_pair
from nodecache.process.listen import ListenAddress
from nodecache.process.protocol import FROM_KEEPER, FROM_WORKER, JOURNAL_OCTETS
from nodecache.process.sockets import close_all, open_all
from nodecache.process.vitals import KeeperVitals
from nodecache.server import InflightLimiter, Journal
from nodecache.wire import read_answer
from nodecache.worker import agent as worker
from nodecache.worker import serving as at_work
from nodecache.worker.assembly import WorkerContext
from nodecache.worker.pods import ClusterPods
from nodecache.worker.serving import Serving
from tests.helpers.agent import free_port
from tests.helpers.corefiles import corefile
from tests.wire.messages import response

PORT = free_port()
RUNNING = """
.:{port} {{
    bind 127.0.0.1
    nodecache {{
        budget 64Mi
        max_waiting 100
        stale 10m
    }}
    cache 30 {{
        success 5000
        denial 4000
    }}
    forward . 192.0.2.1
}}
"""
CHANGED = """
.:{port} {{
    bind 127.0.0.1
    debug
    nodecache {{
        budget 1Mi
        max_waiting 7
        stale 1m
    }}
    cache 30 {{
        success 2000
        denial 1500
    }}
    forward . 192.0.2.1
}}
other.example:{other} {{
    bind 127.0.0.1
    cache
    forward . {upstream}
}}
"""
TWINS = """
.:{port} {{
    bind 127.0.0.1
    cache
    forward . 192.0.2.1
}}
.:{port} {{
    bind 127.0.0.2
    cache
    forward . 192.0.2.1
}}
"""
CACHING = """
.:{port} {{
    bind 127.0.0.1
    {cache}
    forward . 192.0.2.1
}}
"""
ANSWER = (read_answer(response("a.example. A")), 30, 1000.0)


def config(text: str, **values: object) -> Config:
    read = corefile(text.format(**{"port": PORT, "other": free_port(), **values}))
    return Config(
        text=text,
        corefile=read,
        served_zones=served_zones(read, lambda _: []),
        own=own_options(read),
    )


def address_of(config: Config, at: int) -> ListenAddress:
    return config.served_zones[at].address


class Running:
    """A worker's zones and listeners, without the worker."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.context = WorkerContext(
            loop, UpstreamRegistry(Network(loop)), Budget(), InflightLimiter()
        )
        pods = ClusterPods(self.context.upstreams, lambda _: None)
        self.serving = Serving(self.context, Journal(mmap.mmap(-1, JOURNAL_OCTETS)), pods)

    async def change_to(self, config: Config) -> None:
        wanted = [place.address for place in config.served_zones]
        held = {address: each.sockets for address, each in self.serving.listeners.items()}
        sockets = open_all(wanted, held)
        try:
            await self.serving.change_to(config, sockets)
        except BaseException:
            close_all(pair for address, pair in sockets.items() if address not in held)
            raise

    def state(self) -> dict[str, object]:
        """All that a refused configuration must leave as it is."""
        context, serving = self.context, self.serving
        cache = serving.built[0].zone.cache
        return {
            "budget": context.budget.limit,
            "segments": len(context.budget.segments),
            "waiting": (context.limiter.max_queries, context.limiter.max_per_client),
            "own": context.upstreams.own_addresses,
            "upstreams": [each.to for each in context.upstreams.all()],
            "capacity": (cache.success.capacity, cache.denial.capacity),
            "stale": cache.stale_seconds,
            "built": [id(each) for each in serving.built],
            "zones": [id(each.handler.zones) for each in serving.listeners.values()],
            "limits": [each.tcp.limits for each in serving.listeners.values()],
            "counts": set(serving.counts),
            "placed": [each[:2] for each in serving.placed],
            "config": serving.config,
            "level": logging.getLogger().level,
        }


def ended(running: Running) -> None:
    running.serving.close()
    running.context.upstreams.close()


def run(scenario) -> None:
    async def main() -> None:
        running = Running(asyncio.get_running_loop())
        try:
            await scenario(running)
        finally:
            ended(running)
            logging.getLogger().setLevel(level)

    level = logging.getLogger().level
    asyncio.run(main())


def test_a_configuration_changes_all_at_once():
    async def scenario(running: Running) -> None:
        await running.change_to(config(RUNNING))
        before = running.state()
        new = config(CHANGED, upstream="192.0.2.2")
        await running.change_to(new)
        after = running.state()
        assert (after["budget"], after["capacity"], after["stale"]) == (1 << 20, (2000, 1500), 60.0)
        assert after["waiting"] == (7, 3)
        assert after["config"] is new
        assert {name for name in before if before[name] == after[name]} == set()

    run(scenario)


def test_two_blocks_that_ask_alike_keep_a_cache_each_through_every_reload():
    async def scenario(running: Running) -> None:
        caches = []
        for _ in range(3):
            await running.change_to(config(TWINS))
            caches.append([made.zone.cache for made in running.serving.built])
        assert caches[0] == caches[1] == caches[2]
        assert caches[0][0] is not caches[0][1]
        assert all(cache.put(b"a", *ANSWER) is not None for cache in caches[0])

    run(scenario)


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("cache {\n success 2000\n serve_stale 1h\n prefetch 3\n}", True),
        ("cache 5", False),
        ("cache other.example", False),
        ("cache {\n disable success\n}", False),
        ("", False),
    ],
)
def test_a_reload_leaves_no_answer_in_the_cache_that_is_not_to_be_kept(line, stays):
    async def scenario(running: Running) -> None:
        await running.change_to(config(CACHING, cache="cache"))
        before = running.serving.built[0].zone.cache
        await running.change_to(config(CACHING, cache=line))
        assert (running.serving.built[0].zone.cache is before) is stays

    run(scenario)


def test_what_clients_by_tcp_do_not_read_is_bounded_at_all_addresses_together():
    async def scenario(running: Running) -> None:
        await running.change_to(config(CHANGED, upstream="192.0.2.2"))
        limits = [each.tcp.limits.held_octets for each in running.serving.listeners.values()]
        assert len(limits) == 2
        assert sum(limits) <= 24 << 20

    run(scenario)


ALIKE = """
.:{port} {{
    bind {host}
    cache
    forward . 192.0.2.1
}}
"""


@pytest.mark.parametrize(
    "directives",
    [
        "errors",
        "log\ndns64\nloadbalance\nacl {{\n allow\n}}\nany\nminimal\nmetadata",
        "hosts {{\n 192.0.2.9 a.example\n fallthrough\n}}\nrewrite name b.example c.example\nwhoami",
        "dnstap tcp://127.0.0.1:{nobody}\ntrace zipkin 127.0.0.1:{nobody}",
        "forward x.example /etc/resolv.conf",
    ],
    ids=["nothing more", "above the cache", "below it", "observers", "a file"],
)
def test_a_reload_leaves_nothing_to_the_garbage_collector(directives):
    """It would stay for ever: after a reload what there is is frozen, cycles of garbage as well."""
    text = ALIKE.replace("{host}", f"127.0.0.1\n{directives}") + ALIKE.replace(
        "{host}", "127.0.0.2"
    )
    asked = config(text, nobody=free_port())

    async def scenario(running: Running) -> None:
        await running.change_to(asked)
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            await running.change_to(asked)
            await asyncio.sleep(0)
            gc.collect()
            left = {type(each) for each in gc.garbage}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
        assert {each for each in left if each.__module__.startswith("nodecache")} == set()

    run(scenario)


def missing_key(monkeypatch) -> Config:
    return config(CHANGED, upstream="tls://192.0.2.2 {\n tls /nonexistent.crt /nonexistent.key\n}")


def unforeseen(monkeypatch) -> Config:
    """A fault of ours in the second block."""
    build = at_work.build

    def broken(block, *more, **options):
        if block.zone_names == ("other.example.",):
            raise RecursionError("too deep")
        return build(block, *more, **options)

    monkeypatch.setattr(at_work, "build", broken)
    return config(CHANGED, upstream="192.0.2.2")


def no_listener(monkeypatch) -> Config:
    """The last step that may fail: one of two new listeners cannot accept."""

    async def start(self, loop):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("nodecache.server.TcpListener.start", start)
    return config(CHANGED, upstream="192.0.2.2")


@pytest.mark.parametrize("broken", [missing_key, unforeseen, no_listener])
def test_a_refused_configuration_changes_nothing(broken, monkeypatch):
    async def scenario(running: Running) -> None:
        await running.change_to(config(RUNNING))
        before = running.state()
        refused = broken(monkeypatch)
        with pytest.raises((OSError, RecursionError)):
            await running.change_to(refused)
        assert running.state() == before
        with socket.socket() as free:  # nothing is left open where it would have listened
            host, port = address_of(refused, 1).host, address_of(refused, 1).port
            free.bind((host, port))

    run(scenario)


@pytest.mark.parametrize(
    ("upstream", "line"),
    [
        ("/no/such/resolv.conf", "/no/such/resolv.conf cannot be read: "),
        ("tls://192.0.2.2 {\n tls /no/key.pem\n}", "192.0.2.2:853 cannot be asked: "),
    ],
)
def test_at_the_start_a_block_waits_for_a_missing_file_and_the_others_serve(upstream, line, caplog):
    async def scenario(running: Running) -> None:
        await running.change_to(config(CHANGED, upstream=upstream))
        first, second = running.serving.built
        assert len(first.forwarders[0].upstreams) == 1
        assert len(second.forwarders[0].upstreams) == 0
        assert line in caplog.text

    run(scenario)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (RecursionError("too deep"), "too deep"),
        (KeyError(), "KeyError"),
        (OSError("x" * 2000), "x"),
    ],
)
def test_whatever_goes_wrong_in_the_worker_is_a_refusal_with_its_reason(monkeypatch, error, why):
    async def fails(*_: object) -> None:
        raise error

    async def main() -> None:
        ours, theirs = channel_pair(FROM_KEEPER, FROM_WORKER)
        loop = asyncio.get_running_loop()
        journal = Journal(mmap.mmap(-1, JOURNAL_OCTETS))
        agent = worker.Agent(flags(), theirs, KeeperVitals(), journal, loop)
        monkeypatch.setattr(worker, "received_configuration", lambda _: ("a configuration", {}))
        monkeypatch.setattr(Serving, "change_to", fails)
        await agent._reload(None)
        message = ours.receive()
        assert message.kind == "refused"
        assert message.fields["why"].startswith(why)
        ours.close()
        theirs.close()

    asyncio.run(main())


def flags() -> Flags:
    return parse_flags(
        ["-setupinterface=false", "-setupiptables=false", "-metrics-listen-address="]
    )
