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


def test_every_alert_ends_with_the_line_that_looks_into_it():
    for alert in alerts():
        text = alert["annotations"]["description"]
        assert re.search(r": kubectl -n kube-system exec \S.* -- nodecache doctor$", text), text


@pytest.mark.parametrize(
    ("labels", "pod"), [(',pod="node-local-dns-x7"', "node-local-dns-x7"), ("", "POD")]
)
def test_that_line_names_the_pod_where_prometheus_knows_it(tmp_path, labels, pod):
    """The operator's PodMonitor tells it; a scrape by annotations need not."""
    file = write_case(tmp_path, {}, "1m", [])
    case = yaml.safe_load(file.read_text())
    series = f'up{{job="node-local-dns",instance="node1"{labels}}}'
    case["tests"][0]["input_series"] = [{"series": series, "values": "0x20"}]
    line = f"kubectl -n kube-system exec {pod} -- nodecache doctor"
    text = f"The agent on node1 has not answered a scrape for 5 minutes. To look into it: {line}"
    (down,) = [each for each in alerts() if each["alert"] == "NodeLocalDNSDown"]
    expected = {
        "exp_labels": {"severity": "critical", "job": "node-local-dns", "instance": "node1"}
        | ({"pod": pod} if labels else {}),
        "exp_annotations": down["annotations"] | {"description": text},
    }
    case["tests"][0]["promql_expr_test"] = []
    case["tests"][0]["alert_rule_test"] = [
        {"eval_time": "10m", "alertname": "NodeLocalDNSDown", "exp_alerts": [expected]}
    ]
    file.write_text(yaml.safe_dump(case))
    promtool("test", "rules", str(file))


def test_every_alert_has_its_place_in_the_operators_guide():
    guide = (ROOT / "docs/operations.md").read_text(encoding="utf-8").lower()
    for alert in alerts():
        anchor = alert["annotations"]["runbook"].partition("#")[2]
        assert f"### {anchor}\n" in guide
