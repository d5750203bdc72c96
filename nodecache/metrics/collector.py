"""The metrics page: everything that is counted, read and rendered in pieces at each scrape."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from nodecache import __version__
from nodecache.process import vitals
from nodecache.process.vitals import KeeperVitals

from .agent import agent_families, load_families
from .cache import cache_families
from .dns import directive_families, dns_families
from .exposition import Family, HistogramFamily, Texts
from .forward import (
    extra_query_families,
    forward_families,
    upstream_state_families,
)
from .host import host_families, process_families, python_families
from .oldnames import before_1_7_families
from .scrape import Scrape


class Collector:
    """Makes the page. Both metrics ports serve the same one, as the original does.

    At a scrape `flush` brings the counts up to date in steps, then `read` returns them. `carry` takes
    the counts of forwarders and caches that a reload removed, so that no counter ever decreases.
    """

    def __init__(
        self,
        read: Callable[[], Scrape],
        keeper: KeeperVitals | None = None,
        flush: Callable[[], Iterable[None]] = tuple,
    ) -> None:
        self.keeper = keeper or KeeperVitals()
        """The newest that the keeper told; the agent puts each new one here."""
        self.pages: Counter[int] = Counter()
        """Pages served, by HTTP status: counted where they are served."""
        self.pages_in_flight = 0
        self._read = read
        self._fold = flush
        self._texts = Texts()
        self._carried: dict[str, Family] = {}

    def carry(self, gone: Scrape) -> None:
        """Keep the counts of the parts in `gone`; a page that is being made is left as it is."""
        for counts in gone.servers:
            counts.flush()
        carried = dict(self._carried)
        for family in counted_families(gone):
            if family.kind == "gauge":
                continue
            if known := carried.get(family.name):
                _add_family(family, known)
            carried[family.name] = family
        self._carried = carried

    def families(self) -> Iterator[Family]:
        """Every family, each made when it is asked for."""
        scrape, carried = self._read(), self._carried
        for counts in scrape.servers:
            counts.flush()
        scrape.agent.pages = self.pages
        scrape.agent.pages_in_flight = self.pages_in_flight
        for family in counted_families(scrape):
            if gone := carried.get(family.name):
                _add_family(family, gone)
            yield family
        yield from agent_families(scrape.agent, __version__)
        yield from load_families(scrape.agent)
        yield from host_families(self.keeper)
        worker, network = vitals.measure(), vitals.network_octets()
        yield from process_families(worker, self.keeper.process, network)
        yield from python_families()

    def pieces(self) -> Iterator[bytes]:
        """The page's text in pieces, each quick to make; some are empty."""
        for _ in self._fold():
            yield b""
        for family in self.families():
            for piece in family.pieces(self._texts):
                yield piece.encode()


def counted_families(scrape: Scrape) -> Iterator[Family]:
    """The families whose counts belong to zones and upstreams, which a reload may take away."""
    yield from dns_families(scrape)
    yield from cache_families(scrape)
    yield from forward_families(scrape)
    yield from extra_query_families(scrape)
    yield from upstream_state_families(scrape)
    yield from directive_families(scrape)
    yield from before_1_7_families(scrape)


def _add_family(to: Family, other: Family) -> None:
    for labels, value in other.values.items():
        to.add(labels, value)
    if isinstance(to, HistogramFamily) and isinstance(other, HistogramFamily):
        to.bounds = to.bounds or other.bounds
        for labels, (buckets, total) in other.histograms.items():
            to.merge(labels, buckets, total)
