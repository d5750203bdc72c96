"""What cannot work ends the start: one line that names what is missing and the way round, exit 1."""

import os
import subprocess
import sys

import pytest

from tests.needs import need, need_node
from tests.patience import PATIENCE_SECONDS
from tests.system.netns import INTERFACE, LOCAL, Namespace, wait_until
from tests.system.on_node import ROOT, stock

pytestmark = pytest.mark.system
need_node("setpriv")


@pytest.fixture
def node():
    node = Namespace(f"nc{os.getpid()}e")
    yield node
    node.remove()


def command(folder, *flags: str) -> list[str]:
    (folder / "Corefile").write_text(stock([LOCAL]))
    return [
        sys.executable, "-m", "nodecache", "-conf", str(folder / "Corefile"), "-basecorefile", "/none",
        "-localip", str(LOCAL), "-interfacekind", "bridge", *flags,
    ]  # fmt: skip


def started(node: Namespace, argv: list[str], **options) -> tuple[int, list[str]]:
    """(exit status, the lines it printed but for its name) of a start that ends by itself."""
    agent = node.start(
        *argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, **options
    )  # fmt: skip
    lines, _ = agent.communicate(timeout=PATIENCE_SECONDS)
    return agent.returncode, [li for li in lines.splitlines() if "Starting nodecache" not in li]


@pytest.mark.parametrize(
    ("wrap", "flags", "words"),
    [
        pytest.param(
            ["setpriv", "--bounding-set=-net_admin"], [],
            ["CAP_NET_ADMIN is missing", "-setupinterface=false -setupiptables=false"],
            id="no CAP_NET_ADMIN",
        ),
        pytest.param(
            ["setpriv", "--reuid=65534", "--clear-groups"], [],
            ["CAP_NET_ADMIN is missing", "runAsUser 0"],
            id="not root",
        ),
        pytest.param(
            ["setpriv", "--bounding-set=-net_bind_service"], [],
            ["cannot listen on", "CAP_NET_BIND_SERVICE", "capabilities.add NET_BIND_SERVICE"],
            id="no CAP_NET_BIND_SERVICE",
        ),
        pytest.param(
            ["env", "PATH=/nonexistent"], [],
            ["nft: No such file", "iptables: No such file", "-setupiptables=false"],
            id="no nft and no iptables",
        ),
        pytest.param(
            ["env", "PATH=/nonexistent"], ["-rules", "nftables"],
            ["nft: No such file", "-setupiptables=false"],
            id="no nft where it was asked for",
        ),
        pytest.param(
            [], ["-interfacename", "a-name-of-16-oct"], ["-interfacename", "15"], id="long name"
        ),
        pytest.param(
            ["sh", "-c", f'ip link add {INTERFACE} type veth peer other; exec "$@"', "sh"], [],
            [f"interface {INTERFACE} is there already, of kind veth", "-interfacename"],
            id="a link that is not ours",
        ),
        pytest.param(
            [], ["-leased", "192.0.2.1"], ["-leased: 192.0.2.1 is not among -localip"], id="stray lease"
        ),
    ],
)  # fmt: skip
def test_one_line_says_what_is_missing_and_the_flag_that_does_without(
    node, tmp_path, wrap, flags, words
):
    status, lines = started(node, [*wrap, *command(tmp_path, *flags)])
    print(lines)
    assert status in (1, 2)
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]
    assert "nodecache" not in node.run("nft", "list", "tables")


def test_what_a_flag_leaves_out_needs_no_rights(node, tmp_path):
    argv = command(tmp_path, "-setupinterface=false", "-setupiptables=false")
    agent = node.start(
        "setpriv", "--bounding-set=-net_admin,-net_raw", *argv,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
    )  # fmt: skip
    assert any("nodecache serves" in line for line in agent.stdout)
    agent.terminate()
    agent.communicate(timeout=PATIENCE_SECONDS)
    assert agent.returncode == 0
    assert INTERFACE not in node.run("ip", "link")


def test_a_read_only_proc_is_no_hindrance(node, tmp_path):
    script = (
        'mount -o remount,ro,bind /proc /proc 2>/dev/null || mount -o remount,ro /proc; exec "$@"'
    )
    agent = node.start(
        "unshare", "-m", "sh", "-c", script, "sh", *command(tmp_path),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
    )  # fmt: skip
    assert any("packet rules are in place" in line for line in agent.stdout)
    agent.terminate()
    agent.communicate(timeout=PATIENCE_SECONDS)
    assert agent.returncode == 0


def test_ipv6_switched_off_is_told_and_ipv4_is_served(node, tmp_path):
    node.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    node.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    argv = command(tmp_path)
    argv[argv.index("-localip") + 1] = f"fd00::10,{LOCAL}"
    agent = node.start(*argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT)
    wait_until(lambda: f"{LOCAL}/32" in node.run("ip", "address", "show", INTERFACE, check=False))
    agent.terminate()
    lines, _ = agent.communicate(timeout=PATIENCE_SECONDS)
    assert "IPv6 is switched off" in lines
    assert INTERFACE not in node.run("ip", "link")


def test_nft_alone_is_enough(node, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "nft").symlink_to(need("nft", package="nftables"))
    agent = node.start(
        "env", f"PATH={programs}", *command(tmp_path),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
    )  # fmt: skip
    assert any("packet rules are in place (nftables)" in line for line in agent.stdout)
    agent.terminate()
    lines, _ = agent.communicate(timeout=PATIENCE_SECONDS)
    assert "ERROR" not in lines
    assert agent.returncode == 0
