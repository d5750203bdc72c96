"""The Grafana dashboard: well formed, and every panel asks for series that exist."""

import json
import re
from typing import Any

import pytest

from nodecache.metrics import Collector
from nodecache.process.vitals import KeeperVitals
from tests.deploy.manifests import DEPLOY
from tests.helpers.numbers import busy_node

DASHBOARD: dict[str, Any] = json.loads(
    (DEPLOY / "components/monitoring/dashboard.json").read_text(encoding="utf-8")
)
PANELS = DASHBOARD["panels"]
TARGETS = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel.get("targets", [])
]


def told() -> set[str]:
    keeper = KeeperVitals.from_fields(
        {
            "rules_backend": "nftables",
            "rules_fail_open": "socket",
            "rule_packets": {"input_udp": 1},
            "lease": {"seconds": 10.0, "is_held": True},
        }
    )
    page = b"".join(Collector(busy_node, keeper).pieces()).decode()
    return set(re.findall(r"^[a-z_]+", page, re.MULTILINE)) | {"up"}


@pytest.mark.parametrize("expression", TARGETS)
def test_panel_asks_for_series_that_are_on_the_page(expression):
    asked = set(re.findall(r"\b(?:coredns|nodecache|process)_\w+|\bup\b", expression))
    assert asked
    assert asked <= told()


def test_panels_do_not_overlap_and_fill_the_width():
    taken: dict[tuple[int, int], str] = {}
    for panel in PANELS:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, (panel["title"], taken.get((x, y)))
                taken[x, y] = panel["title"]


def test_panels_have_ids_of_their_own_and_a_unit():
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS if "targets" in panel)


def test_no_data_source_is_wired_in():
    assert "uid" not in {**DASHBOARD["templating"]["list"][0]}
    sources = {
        json.dumps(target["datasource"]) for panel in PANELS for target in panel.get("targets", [])
    }
    assert sources == {'{"type": "prometheus", "uid": "${datasource}"}'}
