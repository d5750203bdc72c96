"""A real Debian kernel, emulated: the true dummy link, modules on demand, IPVS."""

import json
import subprocess

import pytest

from tests.needs import need, need_root
from tests.vm import image

pytestmark = [pytest.mark.vm, pytest.mark.timeout(240)]
BOOT_SECONDS = 200
NAMES = (
    "ipvs nftables",
    "ipvs iptables",
    "foreign link",
    "foreign address",
    "link",
    "traffic nftables",
    "lease nftables",
    "traffic iptables",
    "lease iptables",
)


@pytest.fixture(scope="module")
def checks() -> dict[str, dict]:
    """What the machine's only program printed, by the name of the check."""
    need_root()
    qemu = need("qemu-system-x86_64", package="qemu-system-x86")
    for tool, package in (
        ("busybox", "busybox-static"), ("depmod", "kmod"), ("nft", "nftables"), ("ip", "iproute2"),
        ("iptables-legacy", "iptables"), ("conntrack", "conntrack"), ("apt-get", "apt"),
    ):  # fmt: skip
        need(tool, package=package)
    kernel, initramfs = image.build()
    machine = subprocess.run(
        [
            qemu, "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024", "-nodefaults", "-no-reboot",
            "-display", "none", "-serial", "stdio", "-kernel", str(kernel), "-initrd", str(initramfs),
            "-append", "console=ttyS0 quiet panic=-1 rdinit=/init",
        ],
        capture_output=True, text=True, errors="replace", timeout=BOOT_SECONDS, check=False,
    )  # fmt: skip
    lines = [line for line in machine.stdout.splitlines() if line.startswith("CHECK ")]
    found = [json.loads(line.removeprefix("CHECK ")) for line in lines]
    assert found, machine.stdout[-3000:] + machine.stderr[-1000:]
    return {outcome["name"]: outcome for outcome in found}


@pytest.mark.parametrize("name", NAMES)
def test_in_the_machine(checks, name):
    outcome = checks[name]
    print(json.dumps(outcome))
    assert outcome["is_ok"], outcome["why"]
