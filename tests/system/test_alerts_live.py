"""Faults done to a running agent make a real Prometheus fire the alert that is meant for them."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy.test_alerts import groups
from tests.helpers.prometheus import Prometheus, scraping, wait_until
from tests.system.agent import Load, RunningAgent, running_agent, stand_in

pytestmark = pytest.mark.system


def hasty_rules(folder: Path) -> Path:
    """Our rules with every pause taken out: seconds instead of minutes."""
    hasty = groups()
    for group in hasty:
        for rule in group["rules"]:
            rule.pop("for", None)
            rule["expr"] = re.sub(r"\[\d+m\]", "[15s]", rule["expr"])
    file = folder / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": hasty}))
    return file


# Before the first scrape, and of tests that run the sources.
TRUE_AT_THE_START = {"NodeLocalDNSAbsent", "NodeLocalDNSInterpreted"}


@pytest.fixture
def agent(tmp_path) -> Iterator[RunningAgent]:
    with stand_in() as upstream, running_agent(tmp_path, upstream) as running:
        yield running


@pytest.fixture
def prometheus(agent, tmp_path_factory) -> Iterator[Prometheus]:
    """Scraping the port that the agent keeps for itself; nothing fires so far."""
    folder = tmp_path_factory.mktemp("prometheus")
    with scraping(f"127.0.0.1:{agent.setup_metrics}", folder, hasty_rules(folder)) as server:
        wait_until(lambda: server.value("count_over_time(up[1m])") >= 3, "three scrapes")
        assert server.firing() <= TRUE_AT_THE_START
        yield server


def kill_worker(agent: RunningAgent) -> None:
    """Kill the worker and wait for the next one's answer."""
    (worker,) = agent.workers()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: agent.workers() not in ([], [worker]) and agent.is_ready(), "a new worker")


def test_workers_that_die_again_and_again_are_told(agent, prometheus):
    for _ in range(3):
        kill_worker(agent)
        wait_until(
            lambda: prometheus.value("timestamp(up) - timestamp(up offset 1s)") > 0, "a scrape"
        )
    wait_until(lambda: "NodeLocalDNSWorkerReplaced" in prometheus.firing(), "the alert")


def test_broken_corefile_is_told(agent, prometheus):
    whole = agent.base_corefile.read_text()
    agent.base_corefile.write_text(whole.replace("success 9984 30", "success many"))
    wait_until(lambda: "NodeLocalDNSReloadFailed" in prometheus.firing(), "the alert")
    agent.base_corefile.write_text(whole)
    wait_until(lambda: "NodeLocalDNSReloadFailed" not in prometheus.firing(), "its end")


def test_upstream_that_is_gone_is_told(agent, prometheus):
    """The stand-in's port is taken away under the agent by pointing the Corefile at a dead one."""
    dead = agent.base_corefile.read_text()
    agent.base_corefile.write_text(re.sub(r"forward \. \S+", "forward . 127.0.0.1:1", dead))
    with Load(agent.port):
        wait_until(
            lambda: (
                prometheus.firing() >= {"NodeLocalDNSErrorsHigh", "NodeLocalDNSUpstreamFailing"}
            ),
            "the alerts",
        )


def test_agent_that_is_gone_is_told(agent, prometheus):
    agent.process.terminate()
    wait_until(lambda: "NodeLocalDNSDown" in prometheus.firing(), "the alert")
