"""kube-dns' pods from the API server: recorded conversations, and what a list of slices comes to."""

import asyncio
import logging
from collections.abc import Callable

import pytest
from lightkube.resources.discovery_v1 import EndpointSlice

from nodecache.forward import Pod
from nodecache.worker import slices
from nodecache.worker.slices import SliceWatch, pods_of
from tests.patience import PATIENCE_SECONDS
from tests.worker.apiserver import (
    Answer,
    ApiServer,
    Listing,
    Refusal,
    Watch,
    a_slice,
    bookmark,
    endpoint,
    event,
    gone,
)

ONE, TWO, THREE = "10.244.0.2", "10.244.1.2", "10.244.2.2"


class Follower:
    """Hears of the pods; waits until a list comes."""

    def __init__(self) -> None:
        self.told: list[list[str]] = []
        self._news = asyncio.Event()

    def changed(self, pods) -> None:
        self.told.append([pod.host for pod in pods])
        self._news.set()

    async def until(self, hosts: list[str]) -> None:
        """Wait until this list was told."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while hosts not in self.told:
                await self._news.wait()
                self._news.clear()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(slices, "_FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(slices, "_LAST_RETRY_SECONDS", 0.02)


def converse(*conversation: Answer, zone: str = "", then: Callable | None = None) -> ApiServer:
    """Follow the server through a conversation until `then` is done."""

    async def run() -> ApiServer:
        async with ApiServer(conversation) as server:
            follower = Follower()
            watch = SliceWatch("kube-dns-upstream", zone, follower.changed, server.config)
            watch.begin()
            try:
                if then is not None:
                    await then(server, follower)
            finally:
                watch.close()
            return server

    return asyncio.run(run())


def test_the_pods_of_the_service_are_listed_and_watched_from_that_version():
    async def then(server, follower):
        await follower.until([ONE, TWO])
        await server.until_asked(2)

    server = converse(Listing([a_slice(endpoint(ONE), endpoint(TWO))], "4711"), Watch(), then=then)
    listing, watch = server.asked
    assert listing["labelSelector"] == "kubernetes.io/service-name=kube-dns-upstream"
    assert (watch["watch"], watch["resourceVersion"]) == ("true", "4711")
    assert int(watch["timeoutSeconds"]) > slices._LIST_SECONDS


@pytest.mark.parametrize("is_torn", [False, True], ids=["whole lines", "torn chunks"])
def test_a_pod_that_terminates_is_left_at_once(is_torn):
    after = a_slice(endpoint(ONE, ready=False, terminating=True), endpoint(TWO), version="101")

    async def then(_, follower):
        await follower.until([ONE, TWO])
        await follower.until([TWO])

    events = [event("MODIFIED", after)]
    converse(
        Listing([a_slice(endpoint(ONE), endpoint(TWO))]), Watch(events, is_torn=is_torn), then=then
    )


def test_slices_that_come_and_go_are_put_together():
    other = a_slice(endpoint(THREE), name="kube-dns-upstream-other")

    async def then(_, follower):
        await follower.until([ONE, THREE])
        await follower.until([THREE])

    events = [event("ADDED", other), event("DELETED", a_slice(endpoint(ONE)))]
    converse(Listing([a_slice(endpoint(ONE))]), Watch(events), then=then)


def test_a_watch_that_the_server_ends_goes_on_from_where_it_was():
    changed = a_slice(endpoint(TWO), version="101")

    async def then(server, follower):
        await follower.until([TWO])
        await server.until_asked(3)

    server = converse(
        Listing([a_slice(endpoint(ONE))]),
        Watch([event("MODIFIED", changed)], end="closed"),
        Watch(),
        then=then,
    )
    assert [asked.get("resourceVersion") for asked in server.asked] == [None, "100", "101"]


@pytest.mark.parametrize(
    "broken",
    [
        Watch([gone()]),
        Watch(end="reset"),
        Watch([bookmark("105")], end="reset"),
        Watch([event("MODIFIED", {"kind": "EndpointSlice"})]),
        Watch([{"type": "MODIFIED"}]),
        Refusal(410, "Gone"),
        Refusal(500, "Internal Server Error"),
    ],
    ids=["410 in the stream", "reset", "bookmark", "no slice", "no object", "410", "500"],
)
def test_after_anything_strange_everything_is_listed_anew(broken):
    async def then(_, follower):
        await follower.until([TWO])
        assert follower.told == [[ONE], [TWO]]

    converse(
        Listing([a_slice(endpoint(ONE))]),
        broken,
        Listing([a_slice(endpoint(TWO))], "200"),
        Watch(),
        then=then,
    )


def test_the_list_survives_an_api_server_that_is_away(caplog):
    async def then(server, follower):
        await follower.until([ONE])
        server.stop()
        await asyncio.sleep(0.1)  # many attempts, all of them refused
        assert follower.told == [[ONE]]
        await server.start_again()
        server.conversation = [Listing([a_slice(endpoint(TWO))]), Watch()]
        server.asked.clear()
        await follower.until([TWO])

    with caplog.at_level(logging.WARNING):
        converse(Listing([a_slice(endpoint(ONE))]), Watch(), then=then)
    assert len(caplog.records) == 1
    assert "the last list stays" in caplog.text


def test_a_refusal_is_told_once_with_its_reason(caplog):
    async def then(server, _):
        await server.until_asked(4)

    with caplog.at_level(logging.WARNING):
        converse(Refusal(), then=then)
    assert len(caplog.records) == 1
    assert "endpointslices is forbidden" in caplog.text


def test_requests_that_go_well_leave_no_lines_in_the_log(caplog):
    async def then(server, _):
        await server.until_asked(2)

    with caplog.at_level(logging.INFO):
        converse(Listing([a_slice(endpoint(ONE))]), Watch(), then=then)
    assert caplog.records == []


def test_all_is_listed_anew_from_time_to_time_without_a_line_in_the_log(monkeypatch, caplog):
    monkeypatch.setattr(slices, "_LIST_SECONDS", 0.2)

    async def then(_, follower):
        await follower.until([TWO])

    with caplog.at_level(logging.INFO):
        listings = [Listing([a_slice(endpoint(each))]) for each in (ONE, TWO)]
        converse(listings[0], Watch(), listings[1], then=then)
    assert caplog.records == []


def test_no_pod_at_all_is_told_too():
    async def then(_, follower):
        await follower.until([])

    converse(Listing([a_slice(endpoint(ONE, ready=False))]), Watch(), then=then)


# What a list of slices comes to


def hosts(*endpoints, zone: str = "") -> list[str]:
    return [pod.host for pod in pods_of([EndpointSlice.from_dict(a_slice(*endpoints))], zone)]


def test_hints_for_the_nodes_zone_are_followed():
    endpoints = endpoint(ONE, "a"), endpoint(TWO, "b"), endpoint(THREE, "a", "b")
    assert hosts(*endpoints, zone="a") == [ONE, THREE]
    assert hosts(*endpoints, zone="b") == [TWO, THREE]


@pytest.mark.parametrize(
    ("endpoints", "zone"),
    [
        ((endpoint(ONE, "a"), endpoint(TWO, "b")), ""),
        ((endpoint(ONE, "a"), endpoint(TWO, "b")), "c"),
        ((endpoint(ONE, "a"), endpoint(TWO)), "a"),
    ],
    ids=["zone unknown", "nobody for this zone", "one without a hint"],
)
def test_hints_that_do_not_hold_for_all_are_no_hints(endpoints, zone):
    assert hosts(*endpoints, zone=zone) == [ONE, TWO]


def test_hints_of_pods_that_are_not_ready_say_nothing():
    assert hosts(endpoint(ONE, "a", ready=False), endpoint(TWO, "b"), zone="a") == [TWO]


def test_unknown_conditions_are_ready():
    unknown = {"addresses": [ONE]}
    assert hosts(unknown) == [ONE]


def test_ports_are_those_named_for_dns():
    each = a_slice(endpoint(ONE))
    each["ports"][1]["port"], each["ports"][2]["port"] = 5354, 5353
    assert pods_of([EndpointSlice.from_dict(each)], "") == (Pod(ONE, 5353, 5354),)
    each["ports"] = each["ports"][:1]
    assert pods_of([EndpointSlice.from_dict(each)], "") == ()
