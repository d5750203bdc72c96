import re
from html.parser import HTMLParser

import pytest

from nodecache.metrics import AgentNumbers, CacheNumbers, Scrape, UpstreamState
from nodecache.metrics.history import History
from nodecache.process.vitals import KeeperVitals
from nodecache.worker.front_page import AgentInfo, amount, duration, front_page, milliseconds
from tests.metrics.test_history import counted

INFO = AgentInfo(
    seconds_up=3700.0,
    seconds_since_load=5.0,
    missing=[],
    addresses=["169.254.20.10:53"],
    links=["/metrics"],
)


class Reader(HTMLParser):
    """Text, states and tags of a page whose tags are all closed in their order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.states: dict[str, list[str]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)
        if self.open and self.open[-1] == "li":
            level = next(a["class"] for t, a in reversed(self.tags) if t == "li")
            self.states.setdefault(level, []).append(data)


def page_of(scrape=None, keeper=None, history=None, **info) -> Reader:
    given = {name: getattr(INFO, name) for name in INFO.__slots__} | info
    return Reader(
        front_page(
            scrape or Scrape(), keeper or KeeperVitals(), history or History(), AgentInfo(**given)
        )
    )


def test_a_page_of_an_agent_that_has_just_begun_is_whole():
    page = page_of()
    assert "nodecache" in page.words[0]
    assert sum(tag == "svg" for tag, _ in page.tags) == 4


def test_how_long_it_is_up_does_not_depend_on_the_nodes_calendar():
    words = " ".join(page_of(seconds_up=3700.0, seconds_since_load=5.0).words)
    assert "up for 1 h 1 min, its configuration loaded 5 s ago" in words


def test_nothing_is_fetched_from_elsewhere_and_no_script_runs():
    page = page_of()
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "img", "iframe"})
    style = front_page(Scrape(), KeeperVitals(), History(), INFO)
    assert re.findall(r"url\(|@import", style) == []


def test_the_newest_rates_stand_beside_their_plots():
    history = History()
    history.add(counted(1000, 900), 0.0)
    history.add(counted(13_340, 12_000), 10.0)
    words = page_of(history=history).words
    assert "1,234" in words
    assert "90.0 %" in words


def test_states_that_want_a_look_are_told_apart_from_good_ones():
    scrape = Scrape(
        agent=AgentNumbers(is_last_reload_good=False),
        upstream_states=[UpstreamState(to="192.0.2.1:53", is_quarantined=True)],
    )
    keeper = KeeperVitals(
        rules_backend="nftables", rules_fail_open="socket", lease={"seconds": 10, "is_held": 0}
    )
    states = page_of(scrape, keeper, missing=["addresses"]).states
    assert states["ok"] == ["packet rules (nftables) fail open by the socket"]
    assert len(states["look"]) == 2
    assert states["broken"][0] == "not ready: addresses"


def test_one_cache_at_two_addresses_is_one_row():
    caches = [
        CacheNumbers(server="dns://a:53", zones=".", success_entries=7, hits_success=1),
        CacheNumbers(server="dns://b:53", zones=".", hits_success=2, misses=4),
    ]
    words = page_of(Scrape(caches=caches)).words
    at = words.index(".")
    assert words[at : at + 5] == [".", "7", "0", "3", "4"]


def test_what_others_named_cannot_leave_its_place():
    page = page_of(Scrape(caches=[CacheNumbers(server="s", zones="<b>&.")]))
    assert "<b>&." in page.words


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (duration(0.4), "0 s"),
        (duration(3 * 86_400 + 4 * 3600 + 59), "3 d 4 h"),
        (milliseconds(0.00031), "0.31 ms"),
        (milliseconds(1.5), "1,500 ms"),
        (amount(0.25), "0.2"),
        (amount(12_345.6), "12,346"),
    ],
)
def test_numbers_are_told_as_people_read_them(shown, text):
    assert shown == text
