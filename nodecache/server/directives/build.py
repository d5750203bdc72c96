"""From a block's options to its directives, in the order in which they see a query.

What is not here is done elsewhere: `bufsize` and `errors` by the zone, `loop` by the forwarders, and
what is no business of a query (`bind`, `health`, …) by the agent. Directives that few blocks have
and that take long to import are imported where they are made: a start waits for no more than it
needs.
"""

import logging
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Protocol

from nodecache.corefile import DnstapOptions, LoadbalanceOptions, ServerBlock
from nodecache.server.chain import Client, Directive, Result
from nodecache.server.replies import Finish
from nodecache.wire import Query

from .acl import Acl, AclCounts
from .any import Any
from .dns64 import Dns64
from .hosts import Hosts
from .loadbalance import LoadBalance, Pick
from .metadata import Metadata
from .minimal import Minimal
from .no_aaaa import NoAaaa
from .query_log import QueryLog
from .shuffled import as_it_is, never, shuffling
from .template.counts import TemplateCounts
from .weights import Preferred, Weighted, WeightFile
from .whoami import Whoami

if TYPE_CHECKING:
    from .dnstap.dnstap import Dnstap, ForwardWatch
    from .dnstap.sink import Sink
    from .trace.spans import Tracer

# Every line was asked for: the log module never sums up this logger's.
_QUERY_LOGGER = logging.getLogger("queries")


@dataclass(slots=True)
class Totals:
    """What the directives of all blocks count; they outlive reloads."""

    template: TemplateCounts = field(default_factory=TemplateCounts)
    translated: dict[str, int] = field(default_factory=dict)
    """dns64's answers by server label."""
    acl: AclCounts = field(default_factory=dict)
    """Queries by what became of them, server label and zone."""


class Refreshed(Protocol):
    """A directive that reads a file again from time to time."""

    refresh_seconds: float
    """How often; 0 is never."""

    def refresh(self) -> None:
        """Look whether the file changed, in any thread; what queries see changes in one step."""


OpenSink = Callable[[DnstapOptions], "Sink"]
"""From `dnstap` options to where its frames go."""

OpenTracer = Callable[[ServerBlock], "Tracer | None"]
"""From a block to who makes its spans, if anybody does."""


@dataclass(slots=True)
class Directives:
    """A block's directives on both sides of its cache."""

    above: list[Directive] = field(default_factory=list)
    below: list[Directive] = field(default_factory=list)
    taps: "list[Dnstap]" = field(default_factory=list)
    tracer: "Tracer | None" = None
    refreshed: list[Refreshed] = field(default_factory=list)
    hosts: Hosts | None = None
    watch: "ForwardWatch | None" = None
    """Who hears what upstreams were asked, if anybody does."""
    pick: Pick | None = None
    """Draws orders of addresses, where `loadbalance` wants another for each reply."""

    @property
    def is_alike_for_all(self) -> bool:
        """Whether those above the cache treat every client and query alike, but for that order."""
        return all(
            isinstance(directive, Any | Minimal)
            or (isinstance(directive, LoadBalance) and directive.is_any_order)
            for directive in self.above
        )

    def finish(self) -> Finish:
        """What those above the cache make of finished replies in the table."""
        if not self.is_alike_for_all:
            return never
        return as_it_is if self.pick is None else shuffling(self.pick)

    def close(self) -> None:
        """End what they hold open."""
        for tap in self.taps:
            tap.close()
        if self.tracer is not None:
            self.tracer.sink.close()


def open_directives(
    block: ServerBlock,
    totals: Totals,
    open_sink: OpenSink,
    is_forwarded: Callable[[Query], bool],
    open_tracer: OpenTracer = lambda _: None,
) -> Directives:
    """Make a block's directives; OSError or ValueError says what is wrong with what they name.

    `is_forwarded` tells whether a `forward` of the block covers a query: `whoami` has the rest.
    """
    made = Directives()
    names = block.zone_names
    try:
        made.tracer = open_tracer(block)
        made.below = list(_below(block, totals, made, is_forwarded))
        above = list(_above(block, totals, made, open_sink))
    except Exception:
        made.close()
        raise
    if made.tracer is not None:
        above = _traced(block, made, above, made.tracer)
    if block.metadata is not None and (above or made.below):  # nobody else reads notes
        above.insert(0, Metadata(block.metadata.zones or names))
    if made.taps or made.tracer is not None or block.metadata is not None:
        from .dnstap.dnstap import ForwardWatch  # noqa: PLC0415

        made.watch = ForwardWatch(made.taps, time_ns)
    made.above = above
    return made


def _above(
    block: ServerBlock, totals: Totals, made: Directives, open_sink: OpenSink
) -> Sequence[Directive]:
    """The directives that see cached answers too."""
    above: list[Directive] = []
    if block.logs:
        above.append(QueryLog(block.logs, _QUERY_LOGGER, monotonic))
    if block.dnstaps:
        from .dnstap.dnstap import Dnstap  # noqa: PLC0415

        made.taps = [Dnstap(options, open_sink(options), time_ns) for options in block.dnstaps]
        above += made.taps
    if block.acls:
        above.append(Acl(block.acls, block.zone_names, totals.acl))
    if block.any:
        above.append(Any())
    if block.dns64 is not None:
        above.append(Dns64(block.dns64, totals.translated))
    if block.loadbalance is not None:
        above.append(_balancer(block.loadbalance, made))
    if block.minimal:
        above.append(Minimal())
    return above


def _below(
    block: ServerBlock,
    totals: Totals,
    made: Directives,
    is_forwarded: Callable[[Query], bool],
) -> Sequence[Directive]:
    """The directives whose answers are cached."""
    below: list[Directive] = []
    if block.nodecache.suppresses_aaaa:
        below.append(NoAaaa(block.zone_names))
    if block.rewrites:
        from .rewrite.rewrite import Rewriting  # noqa: PLC0415

        below.append(Rewriting(block.rewrites))
    if block.templates:
        from nodecache.server.record_text import prepare  # noqa: PLC0415

        from .template.template import Templates  # noqa: PLC0415

        prepare()
        below.append(Templates(block.templates, block.zone_names, totals.template))
    if block.hosts is not None:
        made.hosts = Hosts(block.hosts, block.zone_names)
        made.hosts.begin()
        made.refreshed.append(made.hosts)
        below.append(made.hosts)
    if block.whoami:
        below.append(_Rest(Whoami(), is_forwarded))
    return below


def _traced(
    block: ServerBlock, made: Directives, above: Sequence[Directive], tracer: "Tracer"
) -> list[Directive]:
    """`above` with `trace` before it, and spans in between, as in what is below the cache."""
    from .trace.trace import Trace, with_passages  # noqa: PLC0415

    assert block.trace is not None
    there = block.directives
    if "forward" in there:
        # `whoami` has what `forward` leaves; the rest of what is below the cache comes before both.
        rest = [each for each in made.below if isinstance(each, _Rest)]
        before = [each for each in made.below if not isinstance(each, _Rest)]
        made.below = [*with_passages(before, after=["forward"]), *rest]
    else:
        made.below = with_passages(made.below)
    return [
        Trace(tracer, block.trace.every),
        *with_passages(
            above,
            before=[name for name in ("prometheus", "errors") if name in there],
            after=[name for name in ("cache",) if name in there],
        ),
    ]


@dataclass(slots=True)
class _Rest:
    """A directive that has what no `forward` of the block covers."""

    directive: Whoami
    is_forwarded: Callable[[Query], bool]
    name: str = Whoami.name

    def visit(self, query: Query, client: Client) -> Result | None:
        """Leave to `forward` what it covers."""
        return None if self.is_forwarded(query) else self.directive.visit(query, client)


def _balancer(options: LoadbalanceOptions, made: Directives) -> LoadBalance:
    made.pick = pick = random.Random(secrets.randbits(64)).randrange  # noqa: S311 (no secret)
    weighted = None
    if options.policy == "weighted":
        weighted = Weighted(pick)
        file = WeightFile(options.weight_file, options.reload_seconds, weighted)
        file.begin()
        made.refreshed.append(file)
    return LoadBalance(pick, weighted, Preferred(options.prefer) if options.prefer else None)


def check(block: ServerBlock) -> str:
    """What is wrong with a block's templates, or nothing. Reads and opens nothing."""
    from .template.template import Templates  # noqa: PLC0415

    try:
        Templates(block.templates, block.zone_names, TemplateCounts())
    except ValueError as error:
        return f"template: {error}"
    return ""
