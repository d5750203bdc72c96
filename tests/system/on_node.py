"""What runs on the node of a World: the stand-in keeper, or the agent itself."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.patience import PATIENCE_SECONDS
from tests.system.asking import REFUSED, Address
from tests.system.netns import KUBE_DNS, LOCAL, Namespace, World, wait_until

ROOT = Path(__file__).resolve().parents[2]


class StandIn:
    """The stand-in keeper (keeper_stand_in.py) on the node."""

    def __init__(self, node: Namespace, addresses: list[Address], **options) -> None:
        # Nothing is compared but what is notified, unless a test says so.
        defaults = {"interface_kind": "bridge", "sync_seconds": 3600}
        wanted = {**defaults, **options, "addresses": [str(ip) for ip in addresses]}
        environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
        self.process = node.start(
            sys.executable, "-B", str(Path(__file__).with_name("keeper_stand_in.py")), json.dumps(wanted),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
            start_new_session=True,
        )  # fmt: skip

    def wait_ready(self) -> "StandIn":
        line = self.process.stdout.readline()
        assert line == "ready\n", (line, self.process.stderr.read() if not line else "")
        return self

    def tell(self, word: str) -> None:
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def state(self) -> dict:
        self.tell("state")
        line = self.process.stdout.readline()
        return json.loads(line if line != "ready\n" else self.process.stdout.readline())

    def stop(self) -> str:
        """A clean stop; what it logged."""
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=PATIENCE_SECONDS)
        return log

    def kill_all(self) -> float:
        """SIGKILL to every process of it at one moment; that moment. None is left after this."""
        os.killpg(self.process.pid, signal.SIGKILL)
        moment = time.monotonic()
        self.process.communicate(timeout=PATIENCE_SECONDS)
        wait_until(lambda: not has_members(self.process.pid))
        return moment


class Agent:
    """The agent itself on a World's node, before the stand-in kube-dns."""

    def __init__(
        self,
        world: World,
        folder: Path,
        addresses: list[Address],
        *flags: str,
        corefile: str = "",
        kind: str = "bridge",
        before: Sequence[str] = (),
    ) -> None:
        """`before` is a command that ends in running another one, in front of the agent's."""
        self.world = world
        self.corefile = folder / "Corefile"
        self.addresses = addresses
        self.write(corefile or stock(addresses))
        self.log_path = folder / "log"
        self._begun_at = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            self.process = world.node.start(
                *before, sys.executable, "-m", "nodecache", "-conf", str(self.corefile),
                "-basecorefile", str(folder / "none"), "-localip", ",".join(map(str, addresses)),
                "-interfacekind", kind, "-metrics-listen-address", f"{LOCAL}:9353", *flags,
                stdout=log, stderr=log, cwd=ROOT, start_new_session=True,
            )  # fmt: skip

    def write(self, corefile: str) -> None:
        fresh = self.corefile.with_suffix(".new")
        fresh.write_text(corefile)
        fresh.rename(self.corefile)

    def wait_ready(self) -> "Agent":
        """Until the rules are in place and every Service address is answered by it."""
        wait_until(lambda: "packet rules are in place" in self.log[self._begun_at :])
        for address in [ip for ip in self.addresses if not ip.is_link_local]:
            wait_until(lambda to=address: self.world.ask(to, seconds=1) == REFUSED)
        return self

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def worker(self) -> int:
        """Its process id, waited for: the kernel's list may miss one while another child ends."""
        while (pid := self.worker_or_none()) is None:
            assert self.process.poll() is None, self.log
            time.sleep(0.005)
        return pid

    def worker_or_none(self) -> int | None:
        """The worker's process id; None while there is none. Other children run nft or iptables."""
        pid = self.process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                if b"nodecache" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        return None

    def kill_worker(self, number: signal.Signals = signal.SIGKILL) -> int:
        pid = self.worker
        os.kill(pid, number)
        return pid

    def stop(self) -> int:
        """A clean stop; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def kill_all(self) -> float:
        """SIGKILL to every process of it at one moment; that moment. None is left after this."""
        os.killpg(self.process.pid, signal.SIGKILL)
        moment = time.monotonic()
        self.process.wait(PATIENCE_SECONDS)
        wait_until(lambda: not has_members(self.process.pid))
        return moment


def has_members(group: int) -> bool:
    """Whether a process group has a process that is not dead; dead ones may wait to be collected."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, of_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state not in "ZX":
                return True
    return False


def stock(addresses: list[Address]) -> str:
    """The stock file's root block, with a stub server that tells a query from the pod apart."""
    return f"""
.:53 {{
    errors
    cache 30
    reload
    loop
    bind {" ".join(map(str, addresses))}
    forward . {KUBE_DNS} {{
        force_tcp
    }}
    health {LOCAL}:8080
}}
"""
