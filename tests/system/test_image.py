"""What is in the image, and that it runs as the manifest runs it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from tests.helpers.agent import free_port
from tests.helpers.prometheus import wait_until
from tests.patience import PATIENCE_SECONDS
from tests.system.agent import stand_in

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]


def in_image(image: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["chroot", str(image), *command], capture_output=True, text=True, check=False
    )


def test_entrypoint_tells_its_version(image):
    told = in_image(image, "/node-cache", "-version")
    assert told.returncode == 0, told.stderr
    assert "nodecache" in told.stdout + told.stderr


def test_program_of_either_name_is_on_the_path(image):
    for name in ("nodecache", "node-cache"):
        found = in_image(image, "/usr/bin/env", "PATH=/opt/nodecache/bin", name, "-version")
        assert found.returncode == 0, found.stderr


def test_packet_filter_tools_are_there(image):
    for tool in ("nft", "iptables", "ip6tables"):
        assert in_image(image, f"/usr/sbin/{tool}", "--version").returncode == 0


def test_no_program_lends_privileges(image):
    lending = [
        path
        for path in image.rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o6000
    ]
    assert lending == []


def test_everything_is_compiled_because_nothing_can_be_at_run_time(image):
    (packages,) = (image / "opt/nodecache/lib").glob("python3.*/site-packages")
    sources = [path for path in packages.rglob("*.py") if "__pycache__" not in path.parts]
    assert sources
    bare = [s for s in sources if not list((s.parent / "__pycache__").glob(f"{s.stem}.*.pyc"))]
    assert bare == []


def test_nothing_of_the_build_is_left(image):
    for path in ("src", "usr/bin/pip", "usr/bin/gcc"):
        assert not (image / path).exists()
    assert list((image / "var/lib/apt/lists").iterdir()) == []


@pytest.fixture
def agent_port(image) -> Iterator[int]:
    """The agent in its image as the manifest runs it: read-only root, a tmpfs to write on."""
    port = free_port()
    with stand_in() as upstream:
        corefile = f".:{port} {{\n bind 127.0.0.1\n cache\n forward . 127.0.0.1:{upstream}\n}}\n"
        yield from run_agent(image, port, corefile)


def run_agent(image: Path, port: int, corefile: str) -> Iterator[int]:
    """Run it until the test is over; it must end well."""
    script = f"""
        mount --bind {image} {image} && mount -o remount,ro,bind {image}
        mount -t tmpfs tmpfs {image}/run && mount -t proc proc {image}/proc
        mkdir {image}/run/nodecache && printf '%s' '{corefile}' > {image}/run/nodecache/base
        exec chroot {image} /node-cache -localip 127.0.0.1 -p {port} -setupinterface=false \
            -setupiptables=false -metrics-listen-address 127.0.0.1:0 \
            -basecorefile /run/nodecache/base -conf /run/nodecache/Corefile
    """
    agent = subprocess.Popen(["unshare", "--mount", "sh", "-ec", script])
    yield port
    agent.terminate()
    assert agent.wait(timeout=PATIENCE_SECONDS) == 0


def test_agent_answers_from_a_read_only_root(agent_port):
    query = dns.message.make_query("kubernetes.default.svc.cluster.local.", "A")

    def answers() -> bool:
        try:
            reply = dns.query.udp(query, "127.0.0.1", port=agent_port, timeout=5)
        except (dns.exception.Timeout, OSError):
            return False
        return reply.rcode() == dns.rcode.NOERROR

    wait_until(answers, "an answer")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_package_has_a_wheel_for_the_architecture(tmp_path, machine):
    """Debian's Python there is 3.13; nothing is ever compiled in the image."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in (17, 26, 27, 28)]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--only-binary", ":all:", "--require-hashes", "--python-version", "3.13"),
            *(word for platform in platforms for word in ("--platform", platform)),
            *("--dest", str(tmp_path), "--requirement", str(ROOT / "deploy/requirements.txt")),
        ],
        check=True,
        env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
