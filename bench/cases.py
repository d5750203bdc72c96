"""The loads every server gets, and how one of them is measured."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench import traffic
from bench.dnsperf import Load
from bench.stage import Stage

MICROSECONDS = 1e6
QUIET_QUERIES_PER_SECOND = 2_000  # a busy node of the field's reports, an idle one for a cache
WARM_QUERIES_PER_SECOND = 5_000  # slow enough that no server loses one


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One load: flat out for CPU and rate, then at a set pace for latency."""

    name: str
    title: str
    names: Callable[[int], list[str]]
    queries: int  # flat out
    pace: int  # queries a second while latency is taken
    paced_queries: int
    is_warm: bool = False  # every name is asked once beforehand
    is_flat_out: bool = True
    has_cookie: bool = False
    qtype: str = "A"
    is_stream: bool = False  # clients ask by TCP

    def load(self, names: Path, queries_per_second: int | None = None) -> Load:
        """What dnsperf is to do with a file of names."""
        return Load(
            names=names,
            queries_per_second=queries_per_second,
            has_cookie=self.has_cookie,
            is_stream=self.is_stream,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one run of one case gave. Microseconds, and a share of the queries."""

    queries_per_second: float
    cpu: float
    mean: float
    median: float
    p99: float
    lost_share: float


def _repeated(names: Callable[[], list[str]]) -> Callable[[int], list[str]]:
    def repeat(count: int) -> list[str]:
        once = names()
        return once * (count // len(once))

    return repeat


_HIT = Case(
    name="hit",
    title="1,000 names, all cached",
    names=_repeated(traffic.hit_names),
    queries=200_000,
    pace=10_000,
    paced_queries=20_000,
    is_warm=True,
)
_LESS_USUAL_HIT = replace(_HIT, queries=100_000)
_MISS = Case(
    name="miss",
    title="every name new",
    names=traffic.new_names,
    queries=100_000,
    pace=4_000,
    paced_queries=12_000,
)
_LESS_USUAL_MISS = replace(_MISS, queries=50_000)
CASES = (
    _HIT,
    replace(
        _LESS_USUAL_HIT,
        name="nx",
        title="1,000 names that do not exist, all cached",
        names=_repeated(traffic.missing_names),
    ),
    _MISS,
    replace(
        _MISS,
        name="zipf",
        title="Zipf over 100,000 names, TTL 30 s, from an empty cache",
        names=traffic.zipf_names,
        queries=150_000,
    ),
    replace(
        _HIT,
        name="quiet",
        title="2,000 queries a second, all cached",
        queries=0,
        pace=QUIET_QUERIES_PER_SECOND,
        paced_queries=10_000,
        is_flat_out=False,
    ),
    replace(
        _LESS_USUAL_HIT,
        name="case",
        title="cached names, each time in another random case (0x20)",
        names=traffic.case_names,
    ),
    replace(
        _LESS_USUAL_HIT,
        name="cookie",
        title="cached names, with a DNS cookie",
        has_cookie=True,
    ),
    replace(
        _LESS_USUAL_HIT,
        name="tcp",
        title="cached names, asked by TCP",
        is_stream=True,
    ),
    replace(
        _LESS_USUAL_MISS,
        name="alias",
        title="every name new, and an alias",
        names=partial(traffic.new_names, zone="alias"),
    ),
    replace(_LESS_USUAL_MISS, name="aaaa", title="every name new, asked for AAAA", qtype="AAAA"),
    replace(_LESS_USUAL_MISS, name="srv", title="every name new, asked for SRV", qtype="SRV"),
)


class NamesFiles:
    """The files dnsperf reads, each made once and used by every server."""

    def __init__(self, folder: Path, scale: float) -> None:
        self._folder = folder
        self._scale = scale

    def flat_out(self, case: Case) -> Path:
        return self._file(f"{case.name}-flat", case, self.scaled(case.queries), 0)

    def paced(self, case: Case) -> Path:
        # Names that the run before it did not ask, where they are to be new.
        return self._file(f"{case.name}-paced", case, case.paced_queries, self.scaled(case.queries))

    def warm(self, case: Case) -> Path:
        names = sorted({name.lower() for name in case.names(traffic.HIT_NAMES * 20)})
        return self._written(f"{case.name}-warm", names, case.qtype)

    def scaled(self, queries: int) -> int:
        return max(traffic.HIT_NAMES, int(queries * self._scale)) if queries else 0

    def _file(self, name: str, case: Case, count: int, skipped: int) -> Path:
        return self._written(name, case.names(count + skipped)[skipped:], case.qtype)

    def _written(self, name: str, names: list[str], qtype: str) -> Path:
        path = self._folder / f"{name}.names"
        return path if path.exists() else traffic.write_names(path, names, qtype)


def warm_up(stage: Stage, case: Case, files: NamesFiles) -> None:
    """Ask every name twice, so that all are cached whichever way the server decides that."""
    load = Load(names=files.warm(case), times=2, queries_per_second=WARM_QUERIES_PER_SECOND)
    stage.ask(load)


def measure(stage: Stage, case: Case, files: NamesFiles) -> Figures:
    """Run one case on a running server."""
    if case.is_warm:
        warm_up(stage, case, files)
    paced = case.load(files.paced(case), case.pace)
    loads = [paced]
    if case.is_flat_out:
        loads.insert(0, case.load(files.flat_out(case)))
    before = stage.cpu_seconds()
    first = stage.ask(loads[0])
    cpu = stage.cpu_seconds() - before
    last = stage.ask(paced) if case.is_flat_out else first
    return Figures(
        queries_per_second=first.queries_per_second,
        cpu=cpu / max(1, first.answered - first.failed) * MICROSECONDS,
        mean=last.mean_latency,
        median=last.latency(0.5),
        p99=last.latency(0.99),
        lost_share=(first.lost + first.failed) / max(1, first.sent),
    )
