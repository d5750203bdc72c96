"""A real Debian kernel, emulated: the true dummy link, modules on demand, IPVS."""

import json
import subprocess

import pytest

from tests.needs import need, need_root
from tests.vm import image

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
BOOT_SECONDS = 1500  # a quiet machine needs about 100: emulation is slow, and slower beside others
NAMES = (
    "ipvs nftables",
    "ipvs iptables",
    "foreign link",
    "foreign address",
    "agent",
    "link",
    "nftables",
    "iptables",
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
    lines = boot(qemu, str(kernel), str(initramfs))
    found = [json.loads(li.removeprefix("CHECK ")) for li in lines if li.startswith("CHECK ")]
    assert found, "\n".join(lines[-60:])
    return {outcome["name"]: outcome for outcome in found}


def boot(qemu: str, kernel: str, initramfs: str) -> list[str]:
    """What the machine wrote on its serial line, until it ended or was ended."""
    # A processor of the oldest kind that the wheels run on, and a kernel that does not switch page tables
    # at each system call: both are cheaper to emulate.
    machine = subprocess.Popen(
        [
            qemu, "-accel", "tcg", "-cpu", "Nehalem", "-smp", "2", "-m", "1024", "-nodefaults", "-no-reboot",
            "-display", "none", "-serial", "stdio", "-kernel", kernel, "-initrd", initramfs,
            "-append", "console=ttyS0 quiet panic=-1 rdinit=/init mitigations=off",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    try:
        return machine.communicate(timeout=BOOT_SECONDS)[0].splitlines()
    except subprocess.TimeoutExpired:
        machine.kill()
        return machine.communicate()[0].splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_in_the_machine(checks, name):
    outcome = checks[name]
    print(json.dumps(outcome))
    assert outcome["is_ok"], outcome["why"]
