"""The README tells what is there: flags, folders, commands, Corefiles."""

import re
from pathlib import Path

import pytest

from nodecache.config.flags import TABLE as FLAG_TABLE
from nodecache.corefile import parse
from nodecache.corefile.options import CHAIN
from tests.deploy.manifests import KUBERNETES_DOCS_SED

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text of one chapter."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_flag_is_told_and_no_other():
    rows = [line.split("|")[1] for line in section("Flags").splitlines() if line.startswith("| `")]
    told = {flag for row in rows for flag in re.findall(r"`-([\w.-]+)`", row)}
    assert told == {flag.name for flag in FLAG_TABLE}


def test_every_directive_is_told():
    assert set(CHAIN) <= set(re.findall(r"\w+", section("Corefile")))


@pytest.mark.parametrize("mode", list(KUBERNETES_DOCS_SED))
def test_sed_commands_are_those_of_the_kubernetes_documentation(mode):
    assert f'sed -i "{KUBERNETES_DOCS_SED[mode]}" nodelocaldns.yaml' in README


def test_folders_and_files_it_names_are_there():
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    folders = [
        f"deploy/{name}" for name in re.findall(r"`((?:overlays|components)/[\w-]+)`", README)
    ]
    missing = [path for path in links + folders if not (ROOT / path).exists()]
    assert missing == []


def test_make_targets_it_names_are_there():
    targets = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert set(re.findall(r"`?make ([a-z-]+)", README)) <= targets


def test_anchors_it_names_are_there():
    for file, anchor in re.findall(r"\]\((docs/[\w-]+\.md)#([\w-]+)\)", README):
        heads = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


def test_its_corefile_is_read():
    blocks = re.findall(r"(?:^    .*\n|^\n)+", section("Corefile"), re.MULTILINE)
    (text,) = [block for block in blocks if "{" in block]
    corefile = parse(text, "README.md", env={}, default_port=53, read=None)
    assert corefile.blocks[0].nodecache.suppresses_aaaa
