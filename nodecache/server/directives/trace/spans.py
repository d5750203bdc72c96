"""Spans of traced queries: names, times and parents.

A span is measured by a monotonic clock and reported in wall clock time, so that a change of the wall
clock never makes a span end before it began.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Clock = Callable[[], int]
"""Nanoseconds."""

_NANOSECONDS_PER_MICROSECOND = 1000
_ID_BITS = 64


class SpanSink(Protocol):
    """Takes spans that have ended."""

    def put(self, span: "Span") -> None:
        """Send `span` soon, or drop it. Never waits."""

    def close(self) -> None:
        """Send what is left, and end."""


@dataclass(frozen=True, slots=True)
class Tracer:
    """What the spans of one `trace` line have in common."""

    sink: SpanSink
    clock: Clock
    """Monotonic."""
    wall_clock: Clock
    """Since 1970."""
    random_bits: Callable[[int], int]
    """`Random.getrandbits`."""

    def start(self, name: str) -> "Span":
        """A span that is in no other: a new trace."""
        now = self.clock()
        own_id = self.new_id()
        return Span(self, own_id, self.wall_clock() - now, name, own_id, "", now)

    def new_id(self) -> str:
        """64 bits in hex; never zero, which stands for no span at all."""
        return f"{self.random_bits(_ID_BITS) or 1:016x}"


@dataclass(slots=True)
class Span:
    """One part of a query's processing. Times in nanoseconds of the monotonic clock."""

    tracer: Tracer
    trace_id: str
    offset: int
    """From the monotonic clock to the wall clock."""
    name: str
    own_id: str
    parent_id: str
    started_at: int
    ended_at: int = 0
    kind: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    notes: list[tuple[int, str]] = field(default_factory=list)
    """Texts, and when."""
    reasons: list[str] = field(default_factory=list)
    """What failed on the query's way; one list for a whole trace."""

    def child(self, name: str, started_at: int | None = None) -> "Span":
        """A span inside this one, begun now unless another time is given."""
        tracer = self.tracer
        begun = tracer.clock() if started_at is None else started_at
        return Span(
            tracer,
            self.trace_id,
            self.offset,
            name,
            tracer.new_id(),
            self.own_id,
            begun,
            reasons=self.reasons,
        )

    def note(self, text: str) -> None:
        """Add an annotation at this moment."""
        self.notes.append((self.tracer.clock(), text))

    def end(self) -> None:
        """End the span, and pass it to the sink."""
        self.ended_at = self.tracer.clock()
        self.tracer.sink.put(self)

    def to_json(self, endpoint: Mapping[str, object]) -> bytes:
        """The span as Zipkin's API v2 has it; `endpoint` is whose it is."""
        told: dict[str, Any] = {
            "timestamp": self._wall_microseconds(self.started_at),
            # 0 would stand for "not known".
            "duration": max(1, (self.ended_at - self.started_at) // _NANOSECONDS_PER_MICROSECOND),
            "traceId": self.trace_id,
            "id": self.own_id,
        }
        if self.parent_id:
            told["parentId"] = self.parent_id
        told["name"] = self.name
        if self.kind:
            told["kind"] = self.kind
        told["localEndpoint"] = endpoint
        if self.notes:
            told["annotations"] = [
                {"timestamp": self._wall_microseconds(at), "value": text} for at, text in self.notes
            ]
        if self.tags:
            told["tags"] = self.tags
        return json.dumps(told, separators=(",", ":")).encode()

    def _wall_microseconds(self, at: int) -> int:
        return (at + self.offset) // _NANOSECONDS_PER_MICROSECOND
