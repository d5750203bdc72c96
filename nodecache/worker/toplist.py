"""`top` at the control socket: a line with rates, names and clients every few seconds while somebody reads."""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from nodecache.forward.histogram import DURATION_BOUNDS
from nodecache.server import Outcome

from .control import Answer
from .control_request import Request
from .explain_upstreams import milliseconds
from .sampling import CAPACITY, MEASURES, Sampler
from .serving import Serving
from .sketch import Sketch
from .watching import SampledListeners

_ROWS = 40  # of each measure
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Reading:
    """The counts at `at`, monotonic seconds."""

    at: float
    outcomes: Counter[str]
    rcodes: Counter[str]
    buckets: Sequence[int]
    sent: Counter[str]


class Top:
    """The sampling, shared by all readers; it runs while there is one."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._watchers = 0
        self._began_at = 0.0
        self._sampler: Sampler | None = None
        self._watch: SampledListeners | None = None

    async def lines(self, request: Request) -> AsyncGenerator[Answer, None]:
        """A line every `request.seconds`."""
        sampler = self._begin()
        try:
            before = await self._read()
            while True:
                await asyncio.sleep(request.seconds)
                now = await self._read()
                yield self._told(before, now, sampler)
                before = now
        finally:
            self._end()

    def _begin(self) -> Sampler:
        self._watchers += 1
        if self._sampler is None or self._watch is None:
            draw = random.Random(secrets.randbits(64)).randrange  # noqa: S311 (no secret)
            self._sampler = Sampler(asyncio.get_running_loop(), draw)
            self._watch = SampledListeners(self._serving, self._sampler)
            self._began_at = monotonic()
        self._watch.cover()
        return self._sampler

    def _end(self) -> None:
        self._watchers -= 1
        if self._watchers == 0 and self._watch is not None:
            self._watch.end()
            self._sampler = self._watch = None

    async def _read(self) -> Reading:
        """Bring the counts up to date, a little at a time, and read them."""
        serving = self._serving
        for _ in serving.flush_in_slices():
            await asyncio.sleep(0)
        outcomes: Counter[str] = Counter()
        rcodes: Counter[str] = Counter()
        buckets = [0] * (len(DURATION_BOUNDS) + 1)
        for counts in serving.counts.values():
            counts.flush()
            for outcome, times in counts.outcomes.items():
                outcomes[Outcome(outcome).name] += times
            for (rcode, _), times in counts.responses.items():
                rcodes[rcode] += times
            buckets = [a + b for a, b in zip(buckets, counts.duration.buckets, strict=True)]
        sent = Counter({each.to: each.queries_sent for each in serving.context.upstreams.all()})
        return Reading(monotonic(), outcomes, rcodes, buckets, sent)

    def _told(self, before: Reading, now: Reading, sampler: Sampler) -> Answer:
        seconds = max(now.at - before.at, 0.001)
        outcomes = now.outcomes - before.outcomes
        queries = outcomes.total()
        hits = outcomes["HIT_SUCCESS"] + outcomes["HIT_DENIAL"]
        if self._watch is not None:
            self._watch.cover()
        sampler.tick(queries / seconds)
        budget = self._serving.context.budget
        return {
            "seconds": round(seconds, 3),
            "queries_per_second": round(queries / seconds, 1),
            "hit_share": round(hits / queries, 4) if queries else None,
            "rcodes": {
                rcode: round(times / seconds, 1)
                for rcode, times in (now.rcodes - before.rcodes).most_common()
            },
            "latency_at_most_milliseconds": quantiles(
                [max(new - old, 0) for new, old in zip(now.buckets, before.buckets, strict=True)]
            ),
            "waiting": len(self._serving.context.limiter),
            "cache": {
                "entries": self._serving.entries,
                "octets": budget.used,
                "budget_octets": budget.limit,
            },
            "upstreams": self._upstreams(now.sent - before.sent, seconds, now.at),
            "sampling": {
                "one_of": sampler.step,
                "largest_one_of": sampler.largest_step,
                "seconds": round(now.at - self._began_at, 1),
                "samples": sampler.samples,
                "capacity": CAPACITY,
            },
            "names": rows(sampler.names, sampler),
            "clients": rows(sampler.clients, sampler),
        }

    def _upstreams(self, sent: Counter[str], seconds: float, now: float) -> list[Answer]:
        """Each address once, with the worst that is known of it: forwarders of other settings ask it apart."""
        told: dict[str, Answer] = {}
        for each in sorted(
            self._serving.context.upstreams.all(), key=lambda each: each.health.standing(now)
        ):
            in_flight = told[each.to]["in_flight"] if each.to in told else 0
            told[each.to] = {
                "to": each.to,
                "queries_per_second": round(sent[each.to] / seconds, 1),
                "standing": each.health.standing(now).name.lower(),
                "in_flight": in_flight + each.in_flight,
                "milliseconds": milliseconds(each),
            }
        return list(told.values())


def rows(sketches: dict[str, Sketch], sampler: Sampler) -> list[Answer]:
    """The first ones by each measure, each with its counts and by how much they may be off."""
    keys = {key: None for each in MEASURES for key in sketches[each].first(_ROWS)}
    told: list[dict[str, Any]] = []
    for key in keys:
        row: Answer = {"key": key}
        for measure in MEASURES:
            row[measure] = sketches[measure].count(key)
        row["too_high_by_at_most"] = sketches["queries"].over(key)
        row["plus_minus"] = sampler.uncertainty(row["queries"])
        told.append(row)
    return told


def quantiles(buckets: Sequence[int]) -> dict[str, float | None]:
    """The histogram bound in milliseconds below which that share of replies was sent; None above the last."""
    total = sum(buckets)
    told: dict[str, float | None] = {}
    for name, share in _QUANTILES.items() if total else ():
        seen = 0
        for bound, times in zip(DURATION_BOUNDS, buckets, strict=False):
            seen += times
            if seen >= share * total:
                told[name] = 1000 * bound
                break
        else:
            told[name] = None
    return told
