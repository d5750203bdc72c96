"""Makes a server block's directives from its options, in the order in which they see a query.

Other directives are implemented elsewhere: `bufsize` and `errors` by the zone, `loop` by the
forwarders, and those that have nothing to do with a query (`bind`, `health`, …) by the agent. Rare
directives that take long to import are imported where they are made, so that a start does not wait
for them.
"""

import logging
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic, time_ns
from typing import TYPE_CHECKING, TypeAlias

from nodecache.corefile import DnstapOptions, LoadbalanceOptions, ServerBlock
from nodecache.server.directive import Client, Directive, Result
from nodecache.server.replies import PrepareReply
from nodecache.wire import Query

from .acl import Acl
from .any import Any
from .counts import DirectiveCounts
from .dns64 import Dns64
from .hosts import Hosts
from .loadbalance import LoadBalance, Pick
from .metadata import Metadata
from .minimal import Minimal
from .no_aaaa import NoAaaa
from .query_log import QueryLog
from .shuffled import keep_reply, shuffle_addresses, skip_table
from .weights import Preferred, Weighted, WeightFile
from .whoami import Whoami

if TYPE_CHECKING:
    from .dnstap.dnstap import Dnstap, ForwardObserver
    from .dnstap.sink import Sink
    from .trace.spans import Tracer

# The operator asked for every line: the log module does not limit this logger's repeats.
_QUERY_LOGGER = logging.getLogger("queries")


Refreshable: TypeAlias = Hosts | WeightFile
"""What reads its file again every `refresh_seconds` (0 is never), in any thread."""

OpenSink = Callable[[DnstapOptions], "Sink"]
"""Makes the sink of a `dnstap` line."""

OpenTracer = Callable[[ServerBlock], "Tracer | None"]
"""Makes the tracer of a block; None where it has no `trace`."""


@dataclass(slots=True)
class Directives:
    """A block's directives: those above its cache, which see hits too, and those below it."""

    above: list[Directive] = field(default_factory=list)
    below: list[Directive] = field(default_factory=list)
    taps: "list[Dnstap]" = field(default_factory=list)
    tracer: "Tracer | None" = None
    refreshed: list[Refreshable] = field(default_factory=list)
    hosts: Hosts | None = None
    forward_observer: "ForwardObserver | None" = None
    """Told of each upstream's answer, where a directive wants that."""
    pick: Pick | None = None
    """Random numbers for `loadbalance`; None where the block has none."""

    @property
    def is_client_independent(self) -> bool:
        """Whether the directives above the cache treat all clients and queries alike, except for shuffling."""
        return all(
            isinstance(directive, Any | Minimal)
            or (isinstance(directive, LoadBalance) and directive.is_any_order)
            for directive in self.above
        )

    def prepare_reply(self) -> PrepareReply:
        """The function that prepares a reply for the reply table, by the directives above the cache."""
        if not self.is_client_independent:
            return skip_table
        return keep_reply if self.pick is None else shuffle_addresses(self.pick)

    @property
    def acl(self) -> Acl | None:
        """The block's `acl`; None without one."""
        return next((each for each in self.above if isinstance(each, Acl)), None)

    def close(self) -> None:
        """Close sinks and tracers."""
        for tap in self.taps:
            tap.close()
        if self.tracer is not None:
            self.tracer.sink.close()


def open_directives(
    block: ServerBlock,
    directive_counts: DirectiveCounts,
    open_sink: OpenSink,
    is_forwarded: Callable[[Query], bool],
    open_tracer: OpenTracer = lambda _: None,
) -> Directives:
    """Make a block's directives; OSError or ValueError says what is wrong with a file they name.

    `is_forwarded` tells whether a `forward` of the block covers a query: `whoami` answers the others.
    """
    made = Directives()
    names = block.zone_names
    try:
        made.tracer = open_tracer(block)
        made.below = list(_below(block, directive_counts, made, is_forwarded))
        above = list(_above(block, directive_counts, made, open_sink))
    except Exception:
        made.close()
        raise
    if made.tracer is not None:
        above = _traced(block, made, above, made.tracer)
    if block.metadata is not None and (above or made.below):  # only directives read metadata
        above.insert(0, Metadata(block.metadata.zones or names))
    if made.taps or made.tracer is not None or block.metadata is not None:
        from .dnstap.dnstap import ForwardObserver  # noqa: PLC0415

        made.forward_observer = ForwardObserver(made.taps, time_ns)
    made.above = above
    return made


def _above(
    block: ServerBlock, directive_counts: DirectiveCounts, made: Directives, open_sink: OpenSink
) -> Sequence[Directive]:
    """The directives above the cache, which see cached answers too."""
    above: list[Directive] = []
    if block.logs:
        above.append(QueryLog(block.logs, _QUERY_LOGGER, monotonic))
    if block.dnstaps:
        from .dnstap.dnstap import Dnstap  # noqa: PLC0415

        made.taps = [Dnstap(options, open_sink(options), time_ns) for options in block.dnstaps]
        above += made.taps
    if block.acls:
        above.append(Acl(block.acls, block.zone_names, directive_counts.acl))
    if block.any:
        above.append(Any())
    if block.dns64 is not None:
        above.append(Dns64(block.dns64, directive_counts.dns64_translated))
    if block.loadbalance is not None:
        above.append(_balancer(block.loadbalance, made))
    if block.minimal:
        above.append(Minimal())
    return above


def _below(
    block: ServerBlock,
    directive_counts: DirectiveCounts,
    made: Directives,
    is_forwarded: Callable[[Query], bool],
) -> Sequence[Directive]:
    """The directives below the cache, whose answers are cached."""
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
        below.append(Templates(block.templates, block.zone_names, directive_counts))
    if block.hosts is not None:
        made.hosts = Hosts(block.hosts, block.zone_names)
        made.hosts.begin()
        made.refreshed.append(made.hosts)
        below.append(made.hosts)
    if block.whoami:
        below.append(_Unforwarded(Whoami(), is_forwarded))
    return below


def _traced(
    block: ServerBlock, made: Directives, above: Sequence[Directive], tracer: "Tracer"
) -> list[Directive]:
    """`above` with `trace` before it and a span around each directive; those below get spans as well."""
    from .trace.trace import Trace, with_spans  # noqa: PLC0415

    assert block.trace is not None
    there = block.directives
    if "forward" in there:
        # `whoami` answers what `forward` does not cover; the other directives below the cache come first.
        rest = [each for each in made.below if isinstance(each, _Unforwarded)]
        before = [each for each in made.below if not isinstance(each, _Unforwarded)]
        made.below = [*with_spans(before, after=["forward"]), *rest]
    else:
        made.below = with_spans(made.below)
    return [
        Trace(tracer, block.trace.every),
        *with_spans(
            above,
            before=[name for name in ("prometheus", "errors") if name in there],
            after=[name for name in ("cache",) if name in there],
        ),
    ]


@dataclass(slots=True)
class _Unforwarded:
    """`whoami` in a block with `forward`: it answers what no `forward` covers."""

    directive: Whoami
    is_forwarded: Callable[[Query], bool]
    name: str = Whoami.name

    def serve(self, query: Query, client: Client) -> Result | None:
        """None where a `forward` covers the query; else the directive's result."""
        return None if self.is_forwarded(query) else self.directive.serve(query, client)


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
    """What is wrong with a block's templates, as text; empty where they are right. Opens no file."""
    from .template.template import Templates  # noqa: PLC0415

    try:
        Templates(block.templates, block.zone_names, DirectiveCounts())
    except ValueError as error:
        return f"template: {error}"
    return ""
