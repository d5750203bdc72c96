"""A real Prometheus that scrapes once a second, and its answers."""

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.agent import free_port
from tests.needs import need
from tests.patience import PATIENCE_SECONDS

Sample = dict[str, Any]


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Look again and again until `holds`; fails after half a minute."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come in {PATIENCE_SECONDS:.0f} s"
        time.sleep(0.1)


class Prometheus:
    """Asks the server at `port`."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"{self._address}/-/ready", timeout=PATIENCE_SECONDS
            ) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    def ask(self, query: str) -> list[Sample]:
        """Samples of an instant query."""
        asked = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(
            f"{self._address}/api/v1/query?{asked}", timeout=PATIENCE_SECONDS
        ) as reply:
            return json.load(reply)["data"]["result"]  # type: ignore[no-any-return]

    def value(self, query: str) -> float:
        """The one value of a query, 0 where there is none."""
        samples = self.ask(query)
        return float(samples[0]["value"][1]) if samples else 0.0

    def targets(self) -> list[dict[str, Any]]:
        """The scraped targets and their last errors."""
        with urllib.request.urlopen(
            f"{self._address}/api/v1/targets", timeout=PATIENCE_SECONDS
        ) as reply:
            return json.load(reply)["data"]["activeTargets"]  # type: ignore[no-any-return]

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        return {s["metric"]["alertname"] for s in self.ask('ALERTS{alertstate="firing"}')}


@contextmanager
def scraping(target: str, folder: Path, rules: Path | None = None) -> Iterator[Prometheus]:
    """Prometheus with `target` (host:port) as its one target, job node-local-dns."""
    program = need("prometheus", package="prometheus")
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)] if rules else [],
        "scrape_configs": [
            {"job_name": "node-local-dns", "static_configs": [{"targets": [target]}]},
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with (folder / "prometheus.log").open("w") as log:
        server = subprocess.Popen(
            [
                program,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    prometheus = Prometheus(port)
    try:
        wait_until(lambda: prometheus.is_ready() or server.poll() is not None, "Prometheus")
        assert server.poll() is None, (folder / "prometheus.log").read_text()
        yield prometheus
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_SECONDS)
