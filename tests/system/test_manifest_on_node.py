"""The manifest's container, run as a kubelet runs it: image, arguments, mounts, capabilities.

The node is a network namespace with a pod and kube-dns beside it. The one thing added by hand is
`-interfacekind bridge`: the kernels of test machines lack the dummy link.
"""

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.manifests import MANIFEST, Object, container_of, load, pick, sed
from tests.needs import need, need_root
from tests.patience import PATIENCE_SECONDS
from tests.system.asking import NOERROR, REFUSED
from tests.system.netns import KUBE_DNS, LOCAL, POD, SERVICE, World, wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

# What a container has besides its volumes.
_USUAL_MOUNTS = ("/proc", "/dev", "/sys")


class Container:
    """The DaemonSet's one container on the node of a World."""

    def __init__(self, world: World, image: Path, objects: list[Object], folder: Path) -> None:
        self.world = world
        self._spec = container_of(objects)
        self._pod = pick(objects, "DaemonSet")["spec"]["template"]["spec"]
        self._objects = objects
        self._image = image
        self._folder = folder
        script = "\n".join([*self._mounts(), self._command()])
        self.log_path = folder / "log"
        with self.log_path.open("wb") as log:
            self.process = world.node.start(
                *("unshare", "--mount", "--fork", "--kill-child", "sh", "-ec", script),
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
            )

    def _mounts(self) -> Iterator[str]:
        """The root, read-only, and on it each volume, as shell commands."""
        root = self._image
        yield f"mount --bind {root} {root}"
        for place in _USUAL_MOUNTS:
            yield f"mount --rbind {place} {root}{place}"
        resolv_conf = self._folder / "resolv.conf"
        resolv_conf.write_text(f"nameserver {KUBE_DNS}\n")
        places = {"/etc/resolv.conf": resolv_conf}
        places |= {m["mountPath"]: self._source(m["name"]) for m in self._spec["volumeMounts"]}
        for place, source in places.items():
            target = root / place.removeprefix("/")
            _make_mount_point(target, is_folder=source.is_dir())
            yield f"mount --bind {source} {target}"
        yield f"mount -o remount,ro,bind {root}"

    def _source(self, name: str) -> Path:
        """A volume's content on this machine."""
        (volume,) = [volume for volume in self._pod["volumes"] if volume["name"] == name]
        place = self._folder / name
        if volume.get("hostPath", {}).get("type") == "FileOrCreate":
            place.touch()
            return place
        place.mkdir(exist_ok=True)
        for item in volume.get("configMap", {}).get("items", ()):
            data = pick(self._objects, "ConfigMap")["data"]
            (place / item["path"]).write_text(data[item["key"]])
        return place

    def _command(self) -> str:
        security = self._spec["securityContext"]
        kept = ",".join(f"+{name.lower()}" for name in security["capabilities"]["add"])
        arguments = " ".join([*self._spec["args"], "-interfacekind", "bridge"])
        return (
            f"exec chroot {self._image} /usr/bin/env -i PATH=/opt/nodecache/bin:/usr/sbin:/usr/bin"
            f" KUBE_DNS_UPSTREAM_SERVICE_HOST={KUBE_DNS}"
            f" setpriv --no-new-privs --bounding-set=-all,{kept} --inh-caps=-all"
            f" /node-cache {arguments}"
        )

    def probe(self, name: str) -> int:
        """The HTTP status that the kubelet's probe gets; 0 for none."""
        asked = self._spec[name]["httpGet"]
        address = f"http://{asked['host']}:{asked['port']}{asked['path']}"
        with self.world.node.entered():
            try:
                with urllib.request.urlopen(address, timeout=5) as reply:
                    return int(reply.status)
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:
                return 0

    def page(self) -> str:
        with (
            self.world.node.entered(),
            urllib.request.urlopen(
                f"http://{LOCAL}:9253/metrics", timeout=PATIENCE_SECONDS
            ) as reply,
        ):
            return str(reply.read().decode())

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    def stop(self) -> int:
        """What `kubectl delete` does; the exit status of the container."""
        (keeper,) = _children(self.process.pid)
        os.kill(keeper, signal.SIGTERM)
        return int(self.process.wait(PATIENCE_SECONDS))


def _make_mount_point(target: Path, *, is_folder: bool) -> None:
    """The container runtime makes them before it makes the root read-only."""
    if is_folder:
        target.mkdir(parents=True, exist_ok=True)
    elif not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()


def _children(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _program(pid: int) -> str:
    """Its command line: a forked worker has its keeper's, a tool that the keeper runs its own."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except FileNotFoundError:  # a tool that has just ended
        return ""


@pytest.fixture
def world() -> Iterator[World]:
    need_root()
    need("nft", package="nftables")
    need("ip", package="iproute2")
    with_kube_proxy = World()
    try:
        with_kube_proxy.proxy("nftables")
        yield with_kube_proxy
    finally:
        with_kube_proxy.sweep()
        with_kube_proxy.remove()


@pytest.fixture(params=["iptables", "ipvs"])
def served(request) -> tuple[str, Any]:
    """A mode of the manifest, and the address that pods ask in it."""
    return request.param, {"iptables": SERVICE, "ipvs": LOCAL}[request.param]


@pytest.fixture
def container(world, image, served, tmp_path) -> Iterator[Container]:
    text = sed(served[0], MANIFEST.read_text())
    running = Container(world, image, load(text), tmp_path)
    try:
        wait_until(lambda: running.has_ended() or running.probe("readinessProbe") == 200)
        assert not running.has_ended(), running.log()
        yield running
    finally:
        if not running.has_ended():
            running.process.kill()
            running.process.wait(PATIENCE_SECONDS)


def test_manifest_serves_pods_and_leaves_nothing(world, container, served):
    _, address = served
    assert container.probe("startupProbe") == container.probe("livenessProbe") == 200
    for protocol in ("udp", "tcp"):
        wait_until(lambda how=protocol: world.ask(address, how, 1) == REFUSED)
    assert str(POD) not in world.conntrack(address)
    assert "nodecache_rules_info{" in container.page()
    written = container._folder / "run/Corefile"
    assert "__PILLAR__" not in written.read_text()
    assert list((container._folder / "state").iterdir())

    assert container.stop() == 0
    assert world.traces() == ""
    assert world.ask(SERVICE) == NOERROR, "kube-dns answers the very next query"
    assert container.process.returncode == 0, container.log()


def test_worker_is_nobody_and_has_no_capability(container):
    (keeper,) = _children(container.process.pid)
    (worker,) = [child for child in _children(keeper) if _program(child) == _program(keeper)]
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines()
    )
    assert status["Uid"].split() == ["65534"] * 4
    assert {status[kind] for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


def test_what_the_worker_may_see_of_itself_is_enough_for_the_process_series(container):
    """It is not dumpable, which hides much of /proc from processes of its own user."""
    values = dict(
        line.split() for line in container.page().splitlines() if line.startswith("process_")
    )
    assert float(values["process_open_fds"]) > 15
    assert float(values["process_resident_memory_bytes"]) > 20e6
    assert float(values["process_cpu_seconds_total"]) > 0
