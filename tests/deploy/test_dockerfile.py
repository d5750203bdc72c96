"""The Dockerfile: pinned, and what it says fits pyproject.toml."""

import json
import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.manifests import DEPLOY, ROOT, container_of, load

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (DEPLOY / "requirements.txt").read_text(encoding="utf-8")


def instructions(word: str) -> list[str]:
    """What follows `word` in each instruction, continued lines joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{word}\s+(.*)$", joined, re.MULTILINE)


def locked() -> dict[str, str]:
    pinned = re.findall(r"^(\S+)==(\S+)", LOCK, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pinned}


def test_base_is_pinned_to_a_point_release():
    assert instructions("ARG") == ["DEBIAN=debian:13.1-slim", "MYPYC_OPT_LEVEL=3"]
    assert {image.split()[0] for image in instructions("FROM")} == {"${DEBIAN}"}


def test_lock_has_every_dependency_in_a_version_that_the_project_takes():
    for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["endpointslices"]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(locked()[canonicalize_name(wanted.name)]), line


def test_every_locked_package_has_hashes_and_is_installed_by_them():
    packages = re.split(r"^(?=\S+==)", LOCK, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in package for package in packages)
    assert any("--require-hashes" in run for run in instructions("RUN"))


def test_arguments_of_the_stock_manifest_work_unchanged():
    """The program is the ENTRYPOINT, and there is no CMD that `args` would have to replace."""
    assert json.loads(instructions("ENTRYPOINT")[-1]) == ["/node-cache"]
    assert instructions("CMD") == []


def test_keeper_starts_as_root_and_nothing_checks_health_beside_the_kubelet():
    assert instructions("USER") == []
    assert instructions("HEALTHCHECK") == []


def test_what_the_image_copies_is_not_ignored():
    kept = {
        line[1:].rstrip("/")
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for copy in instructions("COPY")
        if not copy.startswith("--from=")
        for source in copy.split()[:-1]
    }
    assert copied == kept
    assert all((ROOT / path).exists() for path in kept)


def test_manifest_names_the_image_by_the_projects_version():
    manifest = load((DEPLOY / "base/daemonset.yaml").read_text(encoding="utf-8"))
    assert container_of(manifest)["image"] == f"nodecache:{PROJECT['version']}"
