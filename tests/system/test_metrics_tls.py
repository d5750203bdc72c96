"""`prometheus { tls FILE }` in the real agent, scraped as Prometheus does."""

import shutil
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.helpers.agent import Agent, free_port
from tests.helpers.certificates import make_certificates
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

WEB = """
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Certificates and a web configuration, in a folder that the worker, who is nobody, can read."""
    path = Path(tempfile.mkdtemp(prefix="nodecache-"))
    make_certificates(path, "metrics.example")
    (path / "web.yml").write_text(WEB)
    allow_all(path)
    yield path
    shutil.rmtree(path)


def allow_all(folder: Path) -> None:
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)


def replace(file: Path, text: str) -> None:
    """Write a file as a kubelet does: nobody reads half of it."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(file)


def corefile(folder: Path, metrics: int) -> str:
    return f"""
.:{{port}} {{
    bind 127.0.0.1
    prometheus 127.0.0.1:{metrics} {{
        tls {folder}/web.yml
        runtime_metrics
    }}
    whoami
}}
"""


def client(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "client.pem", folder / "client.key")
    return context


def scrape(port: int, context: ssl.SSLContext | None) -> set[str]:
    """The names of the series."""
    scheme = "https" if context else "http"
    address = f"{scheme}://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS, context=context) as response:
        text = response.read().decode()
    return {family.name for family in text_string_to_metric_families(text)}


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_metrics_are_for_those_with_a_certificate(folder):
    port = free_port()
    with Agent(folder, corefile(folder, port)) as agent:
        agent.ask("a.example.")
        assert "coredns_dns_requests" in scrape(port, client(folder))
        with pytest.raises(OSError, match=r".*"):  # a reset, or TLS' own error
            scrape(port, ssl.create_default_context(cafile=folder / "ca.pem"))
        with pytest.raises((OSError, ValueError)):
            scrape(port, None)
        assert agent.stop() == 0
    assert "[ERROR]" not in agent.log
    assert "Traceback" not in agent.log


def test_renewed_certificates_are_used_without_a_reload(folder):
    port = free_port()
    with Agent(folder, corefile(folder, port)):
        scrape(port, client(folder))
        make_certificates(folder, "metrics.example")
        allow_all(folder)

        def is_renewed() -> bool:
            try:
                return bool(scrape(port, client(folder)))
            except OSError:
                return False

        until(is_renewed)


def test_a_broken_web_configuration_is_told_and_nothing_is_served_in_its_place(folder):
    port = free_port()
    web = folder / "web.yml"
    web.write_text(WEB.replace("server.key", "gone.key"))
    with Agent(folder, corefile(folder, port)) as agent:
        assert agent.ask("a.example.").additional
        with pytest.raises(urllib.error.URLError):
            scrape(port, None)
        replace(web, WEB)  # and once it is mended, it is served
        agent.wait_for_line(f"/metrics is served on 127.0.0.1:{port}")
        scrape(port, client(folder))
        replace(web, "nonsense")
        agent.wait_for_line("/metrics goes on as before")
        scrape(port, client(folder))
    assert f"cannot serve /metrics on 127.0.0.1:{port}: {web}: failed to read" in agent.log


def test_what_is_served_over_tls_is_never_served_in_the_clear_while_the_file_is_written(folder):
    port = free_port()
    web = folder / "web.yml"
    with Agent(folder, corefile(folder, port)) as agent:
        web.write_text("")  # as open() leaves it before the first octet is written
        agent.wait_for_line(f"/metrics goes on as before: {web}: asks for TLS no more")
        scrape(port, client(folder))
        with pytest.raises((OSError, ValueError)):
            scrape(port, None)
