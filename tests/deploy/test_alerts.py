"""Our alerts: each fires on its fault, none on a healthy node, and all ask for series that exist."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nodecache.metrics import Collector
from nodecache.process.vitals import KeeperVitals
from tests.deploy.manifests import DEPLOY, ROOT, load
from tests.helpers.numbers import busy_node
from tests.needs import need

RULES = DEPLOY / "components/monitoring/prometheusrule.yaml"
CASES: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent / "data/faults.yaml").read_text(encoding="utf-8")
)
HEALTHY, FAULTS = CASES["healthy"], CASES["faults"]


def groups() -> list[dict[str, Any]]:
    (rule,) = load(RULES.read_text())
    return rule["spec"]["groups"]  # type: ignore[no-any-return]


def alerts() -> list[dict[str, Any]]:
    return [alert for group in groups() for alert in group["rules"]]


def full_name(series: str) -> str:
    """`series` with the labels that every one has."""
    name, _, labels = series.rstrip("}").partition("{")
    return f'{name}{{job="node-local-dns",instance="node1"{"," if labels else ""}{labels}}}'


def write_case(folder: Path, faulty: dict[str, str], at: str, expected: list[str]) -> Path:
    """A test in promtool's own form: `expected` alerts fire at `at`, and no others."""
    series = HEALTHY | faulty
    case = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": full_name(name), "values": values} for name, values in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": at,
                        "exp_samples": [
                            {"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected
                        ],
                    }
                ],
            }
        ],
    }
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups()}))
    file = folder / "case.yaml"
    file.write_text(yaml.safe_dump(case))
    return file


def promtool(*arguments: str) -> None:
    tool = need("promtool", package="prometheus")
    run = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_rules_are_what_prometheus_takes(tmp_path):
    write_case(tmp_path, {}, "1m", [])
    promtool("check", "rules", str(tmp_path / "rules.yaml"))


def test_no_alert_fires_on_a_healthy_node(tmp_path):
    promtool("test", "rules", str(write_case(tmp_path, {}, "55m", [])))


@pytest.mark.parametrize("name", FAULTS)
def test_alert_fires_on_its_fault_and_no_other_does(tmp_path, name):
    fault = FAULTS[name]
    promtool("test", "rules", str(write_case(tmp_path, fault["series"], fault["at"], [name])))


def test_every_alert_has_a_fault():
    assert {alert["alert"] for alert in alerts()} == set(FAULTS)


def test_every_series_an_alert_asks_for_is_on_the_page():
    keeper = KeeperVitals.from_fields(
        {
            "rules_backend": "nftables",
            "rules_fail_open": "socket",
            "rule_packets": {"input_udp": 1},
            "lease": {"seconds": 10.0, "is_held": True},
        }
    )
    page = b"".join(Collector(busy_node, keeper).pieces()).decode()
    told = set(re.findall(r"^[a-z_]+", page, re.MULTILINE)) | {"up"}
    for alert in alerts():
        asked = set(re.findall(r"\b(?:coredns|nodecache|process)_\w+|\bup\b", alert["expr"]))
        assert asked, alert["alert"]
        assert asked <= told, alert["alert"]


def test_every_alert_has_its_place_in_the_operators_guide():
    guide = (ROOT / "docs/operations.md").read_text(encoding="utf-8").lower()
    for alert in alerts():
        anchor = alert["annotations"]["runbook"].partition("#")[2]
        assert f"### {anchor}\n" in guide
