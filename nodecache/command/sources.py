"""Configurations in the forms people have: Corefiles, manifests, folders of them, standard input."""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nodecache.config.flags import FlagError, Flags, parse_flags
from nodecache.corefile import CorefileError
from nodecache.corefile.options import CHAIN

CLUSTER_DNS = "__PILLAR__CLUSTER__DNS__"
# Stands for the cluster DNS address, which a manifest does not tell (RFC 5737).
UNKNOWN_ADDRESS = "192.0.2.255"
_PROGRAMS = ("node-cache", "nodecache")
_MANIFEST_ENDINGS = (".yaml", ".yml", ".json")
# Other files in a folder are programs, notes and the like.
_COREFILE_ENDINGS = ("", ".conf", ".corefile")
_KUBE_DNS = "kube-dns"
_MANY = 10  # errors: a Corefile with a slip of the pen has fewer
_DNS_SERVER = "__PILLAR__DNS__SERVER__"
_FILLED_IN_BY_PEOPLE = ("__PILLAR__DNS__DOMAIN__", "__PILLAR__LOCAL__DNS__", _DNS_SERVER)


class NoConfiguration(Exception):
    """What was named has no Corefile. The text is one line that says where, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One Corefile. `label` stands for its file in messages."""

    label: str
    text: str
    arguments: tuple[str, ...] = ()
    """Of the container that reads it, where a manifest has one."""
    kube_dns: Mapping[str, str] = field(default_factory=dict)
    """The ConfigMap kube-dns, where it stands beside."""

    @property
    def unfilled(self) -> list[str]:
        """The placeholders that the operator has to fill in, and has not.

        For IPVS mode the documented command leaves one in the Corefile, which the agent removes.
        """
        texts = (self.text, *self.arguments)
        left = [word for word in _FILLED_IN_BY_PEOPLE if any(word in text for text in texts)]
        is_ipvs = left == [_DNS_SERVER] and not any(_DNS_SERVER in text for text in self.arguments)
        return [] if is_ipvs else left


@dataclass(frozen=True, slots=True)
class SourceFolder:
    """A source in a folder, as the agent's volumes would hold it."""

    source: Source
    folder: str

    @property
    def flags(self) -> Flags:
        """The agent's flags, reading this folder. NoConfiguration where the others are wrong."""
        files = [
            "-basecorefile",
            f"{self.folder}/Corefile",
            "-kubednscm",
            f"{self.folder}/kube-dns",
        ]
        try:
            return parse_flags([*self.source.arguments, *files], is_served=False)
        except FlagError as error:
            label = self.source.label
            raise NoConfiguration(f"{label}: the container's arguments: {error}") from None

    def relabel(self, message: object) -> str:
        """A message with the source's label for the file, and without the addresses used for the check."""
        told = str(message).replace(f"{self.folder}/Corefile", self.source.label)
        told = told.replace(f"{self.folder}/kube-dns/", f"ConfigMap {_KUBE_DNS}, ")
        return told.replace(UNKNOWN_ADDRESS, CLUSTER_DNS)


@contextmanager
def source_folder(source: Source) -> Iterator[SourceFolder]:
    """The source in a temporary folder. Raises NoConfiguration if placeholders for people are left."""
    if words := source.unfilled:
        raise NoConfiguration(f"{source.label}: not filled in yet: {', '.join(words)}")
    with tempfile.TemporaryDirectory(prefix="nodecache-check-") as folder:
        Path(folder, "Corefile").write_text(source.text, encoding="utf-8")
        Path(folder, "kube-dns").mkdir()
        for key, text in source.kube_dns.items():
            Path(folder, "kube-dns", Path(key).name).write_text(text, encoding="utf-8")
        yield SourceFolder(source, folder)


def is_manifest(path: str) -> bool:
    """Whether `check PATH` searches the file for Corefiles, rather than reads it as one."""
    is_folder = os.path.isdir(path)  # noqa: PTH112 - Path's raises where the name is too long
    return path == "-" or is_folder or path.endswith(_MANIFEST_ENDINGS)


def sources_at(path: str) -> tuple[list[Source], list[NoConfiguration]]:
    """Every Corefile in a file, a folder or, for `-`, standard input; and what in the folder is not understood.

    Raises NoConfiguration where there is none.
    """
    try:
        if path == "-":
            return _sources_in("standard input", sys.stdin.buffer.read().decode()), []
        if not Path(path).is_dir():
            return _sources_in(path, Path(path).read_text(encoding="utf-8")), []
        files = sorted(file for file in Path(path).iterdir() if file.is_file())
        return _sources_in_folder(path, files)
    except OSError as error:
        raise NoConfiguration(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        label = "standard input" if path == "-" else path
        raise NoConfiguration(f"{label}: no Corefile: not in UTF-8 ({error.reason})") from None


def _sources_in_folder(
    path: str, files: Iterable[Path]
) -> tuple[list[Source], list[NoConfiguration]]:
    corefiles: list[Source] = []
    objects: list[Object] = []
    not_understood: list[NoConfiguration] = []
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        if file.name.endswith(_MANIFEST_ENDINGS):
            try:
                objects += _objects(str(file), text)
            except NoConfiguration as error:
                not_understood.append(error)
        elif file.name.startswith("Corefile") or (
            file.suffix in _COREFILE_ENDINGS and is_like_a_corefile(text)
        ):
            corefiles.append(Source(label=str(file), text=text))
    found = [*corefiles, *_sources_of(objects)]
    if not found and not not_understood:
        raise NoConfiguration(f"{path}: no file in it holds a Corefile")
    return found, not_understood


def _sources_in(label: str, text: str) -> list[Source]:
    if is_like_a_corefile(text) and "apiVersion:" not in text:
        return [Source(label=label, text=text)]
    found = _sources_of(_objects(label, text)) if "apiVersion" in text else []
    if not found:
        raise NoConfiguration(
            f"{label}: no Corefile: no line of it begins with a directive, and no ConfigMap is in it"
        )
    return found


def is_like_a_corefile(text: str) -> bool:
    """Whether any line begins with a directive, or opens a block."""
    words = (line.split() for line in text.splitlines())
    return any(
        word[0] in CHAIN
        or word[0] in ("import", "nodecache")
        or (word[-1] == "{" and len(word) > 1)
        for word in words
        if word
    )


Object = Mapping[str, Any]


def _objects(label: str, text: str) -> list[Object]:
    """The objects of a manifest, those of its lists one by one."""
    import yaml  # noqa: PLC0415 - only for manifests

    try:
        # Every scalar is a text, as written: a date of no calendar is not looked at, nor null "None".
        read = yaml.load_all(text, yaml.BaseLoader)
        documents = [each for each in read if isinstance(each, dict)]
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f":{where.line + 1}" if where is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise NoConfiguration(f"{label}{line}: no YAML: {problem}") from None
    except RecursionError:
        raise NoConfiguration(f"{label}: no YAML: nested too deep") from None
    objects: list[Object] = []
    for document in documents:
        objects += [_mapping(each) for each in _list(document.get("items"))] or [document]
    return objects


def _mapping(value: object) -> Object:
    """`value` where it is a mapping, else an empty one: what is no Kubernetes object may be anything."""
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _sources_of(objects: list[Object]) -> list[Source]:
    """A source for each Corefile in a ConfigMap, with what else of these objects concerns it."""
    maps = [each for each in objects if each.get("kind") == "ConfigMap"]
    kube_dns = next((_data(each) for each in maps if _name(each) == _KUBE_DNS), {})
    arguments = next(_containers(objects), ())
    return [
        Source(
            label=f"ConfigMap {_name(each)}, {key}",
            text=text,
            arguments=arguments,
            kube_dns=kube_dns,
        )
        for each in maps
        if _name(each) != _KUBE_DNS
        for key, text in _data(each).items()
        if key.startswith("Corefile")
    ]


def _name(thing: Object) -> str:
    return str(_mapping(thing.get("metadata")).get("name", ""))


def _data(config_map: Object) -> dict[str, str]:
    return {str(key): str(text) for key, text in _mapping(config_map.get("data")).items()}


def _containers(objects: Iterable[Object]) -> Iterator[tuple[str, ...]]:
    """The arguments of each container that runs an agent."""
    for thing in objects:
        pod = _mapping(_mapping(_mapping(thing.get("spec")).get("template")).get("spec"))
        for container in map(_mapping, _list(pod.get("containers"))):
            words = [str(word) for word in _list(container.get("args"))]
            if container.get("name") in _PROGRAMS or "-localip" in words:
                yield tuple(words)


def faults_of(error: CorefileError) -> list[str]:
    """Every error; or one line if most of them show that this is no Corefile."""
    reasons = [each.reason for each in error.all]
    strange = sum("there is no such directive" in reason for reason in reasons)
    if len(reasons) >= _MANY and strange > len(reasons) / 2:
        return [f"{error.file}: no Corefile: {strange} lines of it begin with no directive"]
    return list(map(str, error.all))
