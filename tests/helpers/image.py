"""The image, built from its Dockerfile by buildah on a Debian made here; no registry is asked.

The base image is what mmdebstrap makes of Debian's packages, and steps run in a chroot. That takes
minutes and the network, so one build is for the whole run, and its layers are kept for the next one:
only what has changed is built again.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.needs import need, need_root

ROOT = Path(__file__).resolve().parents[2]
BASE = "docker.io/library/debian:13.1-slim"
RELEASE = "trixie"
STORE = ROOT / "build" / "image"
KEPT_SECONDS = 7 * 24 * 3600  # then all is built anew, of Debian's packages as they are by then

# Where the machine has a certificate authority of its own, pip in the build needs it too.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass
class Builder:
    """buildah with a storage of its own."""

    program: str
    folder: Path

    def has(self, image: str) -> bool:
        return self._run("inspect", "--type", "image", image).returncode == 0

    def __call__(self, *arguments: str) -> str:
        run = self._run(*arguments)
        assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"[-5000:]
        return run.stdout.strip()

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        storage = ("--root", f"{self.folder}/root", "--runroot", f"{self.folder}/run")
        return subprocess.run(
            [self.program, *storage, *arguments], capture_output=True, text=True, check=False
        )


@contextmanager
def built_image() -> Iterator[Path]:
    """The image's file system, a folder."""
    need_root()
    build = Builder(need("buildah", package="buildah"), STORE)
    _unmount_all_below(STORE)  # of a run that was broken off
    if STORE.exists() and time.time() - STORE.stat().st_ctime > KEPT_SECONDS:
        shutil.rmtree(STORE)
    STORE.mkdir(parents=True, exist_ok=True)
    try:
        if not build.has(BASE):
            _make_base(build)
        mounts = ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"] if CERTIFICATES.exists() else []
        build(
            *("bud", "--pull-never", "--layers", "--isolation", "chroot", *mounts),
            *("--build-arg", "MYPYC_OPT_LEVEL=0", "--tag", "nodecache", str(ROOT)),
        )
        container = build("from", "--pull-never", "localhost/nodecache")
        yield Path(build("mount", container))
        build("rm", "--all")
    finally:
        _unmount_all_below(STORE)


def _make_base(build: Builder) -> None:
    """A minimal Debian, under the name that the Dockerfile has for it."""
    mmdebstrap = need("mmdebstrap", package="mmdebstrap")
    tar = build.folder / "base.tar"
    subprocess.run(
        [mmdebstrap, "--quiet", "--variant=minbase", "--include=ca-certificates", RELEASE, tar],
        check=True,
        capture_output=True,
    )
    base = build("from", "--pull-never", "scratch")
    build("add", base, str(tar), "/")
    build("commit", "--quiet", "--rm", base, BASE)
    tar.unlink()


def _unmount_all_below(folder: Path) -> None:
    """Unmount what a build left, broken off or not: what is mounted cannot be removed."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for path in reversed(mounted):
        if Path(path).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", path], check=False)
