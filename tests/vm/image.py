"""Builds what the virtual machine boots: Debian's cloud kernel and an initramfs, all unpacked, nothing installed.

The archive (cpio, newc) is written here, so no cpio program is needed; it is not compressed, for
the machine is emulated and copying is cheaper than inflating.
"""

import hashlib
import importlib.util
import os
import py_compile
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "vm"
KERNEL_PACKAGE = "linux-image-cloud-amd64"
DEBIAN_PACKAGES = ("ipvsadm", "libnl-3-200", "libnl-genl-3-200", "libpopt0")
PROGRAMS = (
    "nft", "ip", "iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy", "iptables",
    "ip6tables", "iptables-nft-restore", "ip6tables-nft-restore", "iptables-legacy-restore",
    "ip6tables-legacy-restore", "iptables-restore", "ip6tables-restore", "conntrack",
)  # fmt: skip
MODULES = (
    "kernel/net",
    "kernel/lib",
    "kernel/crypto",
    "kernel/drivers/net",
    "kernel/arch/x86/crypto",
)
PYTHON_LEFT_OUT = {
    "test", "idlelib", "tkinter", "ensurepip", "lib2to3", "turtledemo", "pydoc_data", "site-packages",
    "distutils", "unittest", "sqlite3", "curses", "dbm", "venv",
}  # fmt: skip
PACKAGES = (
    "pyroute2", "uvloop", "dns", "h11", "prometheus_client", "inotify_simple.py",
    "mypy_extensions.py", "re2.py", "_re2",
)  # fmt: skip
DEVICES = (("console", 5, 1), ("null", 1, 3), ("zero", 1, 5), ("random", 1, 8), ("urandom", 1, 9))
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /etc /var/lock
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox ln -s /proc/self/fd/0 /dev/stdin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ PYTHONPATH=/app:/app/site
export NODECACHE_TEST_PATIENCE=5
/bin/busybox ip link set lo up 2>/dev/null
{python} -B -X frozen_modules=on /app/tests/vm/inside.py
/bin/busybox poweroff -f
"""


def build() -> tuple[Path, Path]:
    """(kernel, initramfs), built anew only when something that goes in has changed."""
    kernel, modules = _kernel()
    image = BUILD / "initramfs.cpio"
    stamp = BUILD / "initramfs.stamp"
    ours = [path for _, path in _own_files()]
    digest = hashlib.sha256(
        b"".join(path.read_bytes() for path in [*ours, Path(__file__)])
    ).hexdigest()
    if not (image.exists() and stamp.exists() and stamp.read_text() == digest):
        _write(image, modules)
        stamp.write_text(digest)
    return kernel, image


def _kernel() -> tuple[Path, Path]:
    """Debian's kernel, fetched through apt and unpacked; its modules with their dependencies."""
    unpacked = BUILD / "root"
    if not list(unpacked.glob("boot/vmlinuz-*")):
        shutil.rmtree(unpacked, ignore_errors=True)
        BUILD.mkdir(parents=True, exist_ok=True)
        depends = _output("apt-cache", "depends", KERNEL_PACKAGE)
        package = next(
            line.split()[1] for line in depends.splitlines() if "Depends: linux-image" in line
        )
        for name in (package, *DEBIAN_PACKAGES):
            subprocess.run(
                ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", name],
                cwd=BUILD,
                check=True,
            )
        for archive in sorted(BUILD.glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(archive), str(unpacked)], check=True)
            archive.unlink()
        version = next(unpacked.glob("lib/modules/*")).name
        subprocess.run(["depmod", "-b", str(unpacked), version], check=True)
    return next(unpacked.glob("boot/vmlinuz-*")), next(unpacked.glob("lib/modules/*"))


def _write(image: Path, modules: Path) -> None:
    python = (
        Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    )
    with (BUILD / "initramfs.new").open("wb") as archive:
        cpio = Cpio(archive)
        cpio.text("/init", INIT.format(python=python), 0o755)
        for name, major, minor in DEVICES:
            cpio.device(f"/dev/{name}", major, minor)
        cpio.file("/bin/busybox", Path(_which("busybox")))
        for applet in ("sh", "modprobe", "insmod", "sysctl"):
            cpio.link(f"/sbin/{applet}", "/bin/busybox")
            cpio.link(f"/bin/{applet}", "/bin/busybox")
        programs = [Path(_which(name)) for name in PROGRAMS]
        for name, source in zip(PROGRAMS, programs, strict=True):
            cpio.file(f"/usr/sbin/{name}", source.resolve())
        cpio.file("/usr/sbin/ipvsadm", BUILD / "root/sbin/ipvsadm")
        extensions = sorted(Path("/usr/lib/x86_64-linux-gnu/xtables").glob("*.so"))
        python_files = list(_python_files(python))
        loaded = [path for _, path in python_files if ".so" in path.suffixes]
        ipvsadm = BUILD / "root/sbin/ipvsadm"
        for library in _libraries([*programs, python, ipvsadm, *extensions, *loaded]):
            cpio.file(str(library), library.resolve())
        for extension in extensions:
            cpio.file(str(extension), extension)
        for name, path in python_files:
            cpio.file(name, path)
        for name, path in _own_files():
            cpio.file(name, path)
            if path.suffix == ".py":  # compiled here: the emulated machine takes seconds for it
                cpio.file(importlib.util.cache_from_source(name), _compiled(path))
        for name, path in _module_files(modules):
            cpio.file(name, path)
        cpio.end()
    (BUILD / "initramfs.new").rename(image)


def _python_files(python: Path) -> Iterator[tuple[str, Path]]:
    yield str(python), python.resolve()
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    for path in _walk(stdlib):
        top = path.relative_to(stdlib).parts[0]
        if top not in PYTHON_LEFT_OUT and not top.startswith("config-") and path.suffix != ".a":
            yield str(path), path
    site = Path(sysconfig.get_paths(vars={"base": sys.prefix, "platbase": sys.prefix})["purelib"])
    for entry in sorted(site.iterdir()):
        is_wanted = entry.name in PACKAGES or entry.name.startswith(("_re2", "re2"))
        if is_wanted and entry.is_file():
            yield f"/app/site/{entry.name}", entry
        elif is_wanted:
            for path in _walk(entry):
                yield f"/app/site/{path.relative_to(site)}", path


def _own_files() -> Iterator[tuple[str, Path]]:
    yield "/app/tests/patience.py", ROOT / "tests/patience.py"
    for folder in ("nodecache", "tests/vm", "tests/system"):
        for path in _walk(ROOT / folder):
            if "__pycache__" not in path.parts:
                yield f"/app/{path.relative_to(ROOT)}", path


def _compiled(path: Path) -> Path:
    target = BUILD / "compiled.pyc"
    py_compile.compile(
        str(path), str(target), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    return target


def _module_files(modules: Path) -> Iterator[tuple[str, Path]]:
    for path in _walk(modules):
        inside = str(path.relative_to(modules))
        if path.parent == modules or inside.startswith(MODULES):
            yield f"/lib/modules/{modules.name}/{inside}", path


def _walk(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _libraries(programs: list[Path]) -> list[Path]:
    """The shared libraries that `programs` load, as ldd tells, unpacked ones looked for as well."""
    unpacked = BUILD / "root/usr/lib/x86_64-linux-gnu"
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{unpacked}:{BUILD / 'root/lib/x86_64-linux-gnu'}",
    }
    found: dict[str, Path] = {}
    for program in programs:
        told = subprocess.run(
            ["ldd", str(program)], capture_output=True, text=True, check=False, env=environment
        )
        for word in told.stdout.split():
            if word.startswith("/"):
                found[word] = Path(word)
    return list(found.values())


def _which(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if path is None:
        raise FileNotFoundError(name)
    return path


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


class Cpio:
    """Writes the kernel's initramfs format ("newc": a header of 13 hexadecimal fields, padded to 4)."""

    def __init__(self, out) -> None:
        self._out = out
        self._inode = 0
        self._folders: set[str] = set()

    def file(self, name: str, source: Path) -> None:
        name = self._mapped(name)
        mode = stat.S_IFREG | (source.stat().st_mode & 0o777)
        self._entry(name, mode, source.read_bytes(), seconds=int(source.stat().st_mtime))

    def text(self, name: str, text: str, mode: int) -> None:
        self._entry(name, stat.S_IFREG | mode, text.encode())

    def link(self, name: str, target: str) -> None:
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name: str, major: int, minor: int) -> None:
        self._entry(name, stat.S_IFCHR | 0o666, b"", device=(major, minor))

    def end(self) -> None:
        self._header("TRAILER!!!", 0, 0, 0, (0, 0))

    @staticmethod
    def _mapped(name: str) -> str:
        """Where an unpacked library goes: the place from which it was unpacked."""
        root = str(BUILD / "root")
        return name.removeprefix(root)

    def _entry(self, name: str, mode: int, body: bytes, *, seconds: int = 0, device=(0, 0)) -> None:
        self._make_folders(name)
        self._header(name, mode, seconds, len(body), device)
        self._out.write(body)
        self._pad(len(body))

    def _make_folders(self, name: str) -> None:
        for folder in reversed(Path(name).parents):
            if str(folder) not in self._folders and str(folder) != "/":
                self._folders.add(str(folder))
                self._header(str(folder), stat.S_IFDIR | 0o755, 0, 0, (0, 0))

    def _header(
        self, name: str, mode: int, seconds: int, size: int, device: tuple[int, int]
    ) -> None:
        self._inode += 1
        octets = name.lstrip("/").encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, seconds, size, 0, 0, *device, len(octets), 0)
        header = b"070701" + b"".join(f"{field:08x}".encode() for field in fields)
        self._out.write(header + octets)
        self._pad(len(header) + len(octets))

    def _pad(self, size: int) -> None:
        self._out.write(b"\0" * (-size % 4))
