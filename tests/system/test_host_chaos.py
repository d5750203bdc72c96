"""Everything that can happen to an agent, under 1,000 queries a second from a pod."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.needs import need_node
from tests.patience import PATIENCE_SECONDS
from tests.system.asking import REFUSED
from tests.system.netns import INTERFACE, LOCAL, SERVICE, SERVICE6, World, wait_until
from tests.system.on_node import Agent, stock

pytestmark = pytest.mark.system
need_node("dnsperf")

ADDRESSES = [LOCAL, SERVICE, SERVICE6]
RATE = 1000  # queries a second
NAMES = 200
KILLS = 5


def kill_workers(world: World, agent: Agent) -> None:
    for _ in range(KILLS):
        agent.kill_worker()
        time.sleep(0.6)


def reload_twice(world: World, agent: Agent) -> None:
    for seconds in (31, 29):
        agent.write(stock(ADDRESSES).replace("cache 30", f"cache {seconds}"))
        agent.process.send_signal(1)  # SIGHUP: not to wait for the reload directive's turn
        time.sleep(1.2)


def set_down(world: World, agent: Agent) -> None:
    world.node.run("ip", "link", "set", INTERFACE, "down")
    time.sleep(1)


def flush(world: World, agent: Agent) -> None:
    world.node.run("nft", "flush", "ruleset")
    for binary in ("iptables-legacy", "ip6tables-legacy"):
        world.node.run(binary, "-t", "raw", "-F")
    time.sleep(1)


def remove_address(world: World, agent: Agent) -> None:
    world.node.run("ip", "address", "delete", f"{SERVICE}/32", "dev", INTERFACE)
    time.sleep(1)


# For how many seconds there is a load, and what each may cost: a killed worker the query in its hands,
# a reload none. What is taken from the host costs what comes until it is back: that is told, and
# not held to a time.
DEEDS: list[tuple[Callable[[World, Agent], None], int, int | None]] = [
    (kill_workers, 6, KILLS),
    (reload_twice, 5, 0),
    (set_down, 3, None),
    (flush, 3, None),
    (remove_address, 3, None),
]


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_under_load_kills_cost_what_is_in_hand_reloads_nothing_and_the_rest_is_mended(
    world, tmp_path, rules
):
    world.proxy("legacy")
    agent = Agent(world, tmp_path, ADDRESSES, "-rules", rules).wait_ready()
    queries = tmp_path / "queries"
    queries.write_text("".join(f"name{number}.example. A\n" for number in range(NAMES)))
    perf(world, queries, 2, lambda: None)  # everything cached
    for deed, seconds, most in DEEDS:
        sent, lost = perf(world, queries, seconds, lambda d=deed: d(world, agent))
        print(f"{rules}: {deed.__name__}: {sent} sent, {lost} lost")
        assert sent > NAMES  # there was a load
        assert most is None or lost <= most, deed.__name__
        wait_until(lambda: {world.ask(address, seconds=1) for address in ADDRESSES} == {REFUSED})
    assert agent.stop() == 0
    assert world.traces() == ""


def perf(world: World, queries: Path, seconds: int, deed: Callable[[], None]) -> tuple[int, int]:
    """(queries sent, queries lost) while `deed` is done, one second after the beginning."""
    load = world.pod.start(
        "dnsperf", "-s", str(SERVICE), "-d", str(queries), "-Q", str(RATE), "-l", str(seconds),
        "-c", "8", "-t", "10", stdout=-1, stderr=-1,
    )  # fmt: skip
    time.sleep(1)
    deed()
    text, trouble = load.communicate(timeout=PATIENCE_SECONDS + seconds)
    counts = [re.search(rf"Queries {what}:\s+(\d+)", text) for what in ("sent", "lost")]
    assert all(counts), text + trouble
    sent, lost = (int(count.group(1)) for count in counts)
    return sent, lost
