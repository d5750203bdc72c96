"""The page for people, on a running agent and in a real browser."""

import re
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.helpers.agent import HOST, Agent, free_port
from tests.needs import need
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture
def page(tmp_path):
    port, health = free_port(), free_port()
    corefile = f"""
    .:{{port}} {{
        bind {HOST}
        prometheus {HOST}:{port}
        hosts {{
            192.0.2.7 secret.example
        }}
        health {HOST}:{health}
    }}
    """
    with Agent(tmp_path, corefile) as agent:
        agent.ask("secret.example.")
        yield f"http://{HOST}:{port}/"


def test_the_page_names_nobody_and_nothing_that_was_asked_for(page):
    with urllib.request.urlopen(page) as response:
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        text = response.read().decode()
    assert "secret" not in text
    assert "1 answers" not in text
    links = re.findall(r'href="([^"]*)">([^<]*)<', text)
    assert links[0] == ("/metrics", "/metrics")
    assert [shown.rpartition("/")[2] for _, shown in links[1:]] == ["health", "ready"]
    assert all(link == f"http://{shown}" for link, shown in links[1:])


def test_a_browser_shows_it_and_a_phone_need_not_scroll_sideways(page, tmp_path):
    saved = tmp_path / "page.html"
    saved.write_text("<!doctype html>" + in_browser(page, tmp_path))
    # The frame is as wide as a phone, and tells how much wider what is in it would like to be.
    frame = tmp_path / "phone.html"
    frame.write_text(
        """<iframe src="page.html" width="360" height="800"></iframe><p></p><script>
        window.onload = () => {
            const page = frames[0].document, root = page.documentElement
            document.querySelector("p").textContent = "too wide by " +
                (root.scrollWidth - root.clientWidth) + ", plots " +
                page.querySelectorAll("svg").length
        }</script>"""
    )
    assert "<p>too wide by 0, plots 4</p>" in in_browser(frame.as_uri(), tmp_path)


def in_browser(url: str, folder: Path) -> str:
    """What Chromium makes of a page."""
    return subprocess.run(
        [
            need("chromium", package="chromium"), *QUIET, "--allow-file-access-from-files",
            f"--user-data-dir={folder}/profile", "--dump-dom", url,
        ],
        capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS,
    ).stdout  # fmt: skip
