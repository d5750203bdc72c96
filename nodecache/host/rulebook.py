"""Which backend carries the rules, when it is looked at, and what it found."""

import logging
import math
import select
from collections.abc import Callable
from dataclasses import dataclass

from .commands import Command, Job, Result, Steps
from .foreign import ForeignFilters
from .iptables import VARIANTS, Iptables, binary, find_variant, has_socket_match
from .legacy import Sizes, legacy_tables, sizes
from .nft_script import TABLE, table_script
from .nftables import NFT, NftTable, RulesError
from .notices import NftNotices
from .options import Address, HostError, HostOptions, of_version
from .pod_chain import PodChain
from .pods import Endpoint, PodList
from .rules import FailOpen, all_rules, rules_left

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
FOREIGN_SECONDS = 1.0  # the host's firewall is looked at no more often than this
PEEK_SECONDS = 1.0  # how often legacy tables, which tell nothing, are asked for their size
VERSION_SECONDS = 10.0  # the first program may have to wait for kernel modules

LEGACY_TABLES = ("raw", "filter")  # not nat: kube-proxy rewrites that one all the time

Run = Callable[[Command], Result]


@dataclass(frozen=True, slots=True)
class Backend:
    """What makes the rules, and how they fail open; None while that is not known yet."""

    name: str
    fail_open: FailOpen | None


def choose_backend(options: HostOptions, run: Run) -> Backend:
    """The backend to use, "nftables" or "iptables": the asked one, or the first that works here.

    Asks the kernel to check the very table we shall want. Raises HostError.
    """
    reasons = []
    if options.rules in ("auto", "nftables"):
        refused: dict[FailOpen, str] = {}
        for fail_open in FailOpen:
            script = table_script(options, fail_open)
            checked = run(Command((NFT, "-c", "-f", "-"), script, VERSION_SECONDS))
            if checked.is_ok:
                for reason in refused.values():
                    log.info(
                        "nft: no match on sockets (%s): the rules fail open by the lease alone",
                        reason,
                    )
                return Backend("nftables", fail_open)
            refused[fail_open] = checked.reason
        reasons.append(f"nftables: {refused[FailOpen.LEASE]}")
    if options.rules in ("auto", "iptables"):
        versions = [version for version in (4, 6) if of_version(options.addresses, version)]
        asked = [run(Command((binary("", v), "--version"), "", VERSION_SECONDS)) for v in versions]
        refusals = [result.reason for result in asked if not result.is_ok]
        if not refusals:
            if reasons:
                log.warning("using iptables; %s", reasons[0])
            return Backend("iptables", None)
        reasons.append(f"iptables: {refusals[0]}")
    raise HostError(
        f"no way to set packet rules ({'; '.join(reasons)}); -setupiptables=false does without"
    )


class Rulebook:
    """The packet rules in the chosen backend, and our accepts in the host's own filters."""

    def __init__(self, options: HostOptions, backend: Backend) -> None:
        self._options = options
        self.backend = backend.name
        self.fail_open = backend.fail_open
        self._pods = PodList()
        self._table = NftTable(options, backend.fail_open or FailOpen.LEASE)
        self._iptables: Iptables | None = None
        self._pod_chain: PodChain | None = None
        self._foreign = ForeignFilters(options, has_nft=self.backend == "nftables")
        self._notices: NftNotices | None = None
        self._former: tuple[Address, ...] = ()
        self._is_own_right = self._is_foreign_right = False  # as of the last comparison
        self._was_in_place = False
        self._is_clean = False  # leftovers of former lives were looked for
        self._problems: list[RulesError] = []
        self._retry_seconds = RETRY_SECONDS
        self._table_at = self._foreign_at = math.inf
        self._foreign_looked_at = -math.inf
        self._sizes: Sizes = {}
        self._peek_at = math.inf

    @property
    def due_at(self) -> float:
        """When `ensure` is to be run next."""
        return min(self._table_at, self._foreign_at)

    @property
    def wake_at(self) -> float:
        """When to be looked at next, to compare or only to peek."""
        return min(self.due_at, self._peek_at)

    @property
    def is_in_place(self) -> bool:
        """The last comparison left nothing wanting."""
        return self._is_own_right and self._is_foreign_right

    @property
    def packets(self) -> dict[str, int]:
        """Packets seen by rule, as of the last comparison."""
        return dict(self._iptables.packets if self._iptables is not None else self._table.packets)

    @property
    def repairs(self) -> int:
        """How often something had to be put back."""
        carried = self._iptables.repairs if self._iptables is not None else self._table.repairs
        return carried + self._foreign.repairs

    def watch(self, poller: select.epoll) -> None:
        """Listen to the kernel's notices about nftables, where it has them."""
        if self._notices is None:
            try:
                self._notices = NftNotices()
            except OSError:
                return  # no nftables in this kernel: comparing now and then has to do
            poller.register(self._notices.fileno(), select.EPOLLIN)

    def ask_all(self, now: float, former: tuple[Address, ...]) -> None:
        """Have everything compared by the next `ensure`."""
        self._former = former
        self._table_at = self._foreign_at = now

    def read_notices(self, now: float) -> None:
        """Learn from the kernel what is to be compared, and when."""
        if now >= self._peek_at:
            self._peek(now)
        if self._notices is None:
            return
        concern = self._notices.concern(TABLE.split()[1], self._foreign.watched)
        if concern.is_table and self.backend == "nftables":
            self._table_at = min(self._table_at, now)
        if concern.is_foreign:
            self._compare_soon(now)

    def _compare_soon(self, now: float) -> None:
        soon = max(now, self._foreign_looked_at + FOREIGN_SECONDS)
        self._foreign_at = min(self._foreign_at, soon)
        if self.backend == "iptables":
            self._table_at = min(self._table_at, soon)

    def _peek(self, now: float) -> None:
        """See whether a legacy table has grown or shrunk since we were done with it."""
        self._peek_at = now + PEEK_SECONDS
        if self._peeked() != self._sizes:
            self._peek_at = math.inf  # until compared
            self._compare_soon(now)

    @staticmethod
    def _peeked() -> Sizes:
        try:
            return sizes(LEGACY_TABLES)
        except OSError as error:  # then comparing now and then has to do
            log.debug("legacy tables cannot be asked for their size: %s", error.strerror)
            return {}

    def ensure(self, now: float) -> Job:
        """Compare and mend what is due. Problems are kept for `take_problems`, not raised."""
        if now >= self._table_at:
            self._table_at = now + self._options.sync_seconds
            self._is_own_right = yield from self._attempt(self._ensure_own(now), now)
        if now >= self._foreign_at:
            self._foreign_at = now + self._options.sync_seconds
            self._foreign_looked_at = now
            self._is_foreign_right = yield from self._attempt(self._foreign.ensure(), now)
        if self.is_in_place:
            yield from self._once_in_place(now)
        self._sizes = self._peeked()
        self._peek_at = now + PEEK_SECONDS if self._sizes else math.inf
        if not self._problems:
            self._retry_seconds = RETRY_SECONDS

    def _once_in_place(self, now: float) -> Job:
        if not self._was_in_place:
            log.info("packet rules are in place (%s)", self.backend)
            self._was_in_place = True
        if not self._is_clean:
            self._is_clean = yield from self._attempt(self._remove_leftovers(), now)

    def set_pods(self, pods: PodList, now: float) -> Job:
        """Fall back to these kube-dns pods."""
        self._pods = pods
        if self.backend == "nftables":
            yield from self._beside(self._table.set_pods(pods, now))
        elif self._pod_chain is not None:
            yield from self._beside(self._pod_chain.set_pods(pods, now))

    def turn_away(self, now: float) -> Job:
        """Draw no more queries to sockets without a mark, and keep replies out of conntrack.

        A reply that conntrack first hears of afterwards would make an entry, with the Service's
        address as the client: whoever asks from that port within the next minutes is not sent to
        kube-dns, and hears nothing.
        """
        if self.backend == "nftables":
            yield from self._attempt(self._table.turn_away(now), math.inf)
        else:
            yield from self._attempt(self._turn_away_in_iptables(), math.inf)

    def _turn_away_in_iptables(self) -> Job:
        iptables = yield from self._chosen_iptables()
        # in PREROUTING they ask for the mark, and connections under way still have it
        chains = tuple(
            dict.fromkeys(
                (rule.table, rule.chain)
                for rule in iptables.rules
                if rule.table == "raw" and not rule.is_bound_only
            )
        )
        yield from iptables.remove(self._options.addresses, chains=chains, is_for_queries=True)

    def leave(self, now: float) -> Job:
        """Take away everything of ours but where queries go without us: that expires."""
        if self.backend == "nftables":
            yield from self._attempt(self._table.leave(now), math.inf)
        else:
            yield from self._attempt(self._leave_in_iptables(now), math.inf)
        yield from self._attempt(self._foreign.remove(), math.inf)

    def _leave_in_iptables(self, now: float) -> Job:
        iptables = yield from self._chosen_iptables()
        chain = self._pod_chain
        if chain is None or not (yield from chain.leave(self._pods, now)):
            yield from self._remove_own()
            return
        left = rules_left(self._options, self.fail_open or FailOpen.LEASE)
        leftovers = Iptables(iptables.variant, left)
        yield from leftovers.ensure()
        yield from iptables.remove(self._options.addresses, keep=leftovers.rules)

    def remove(self) -> Job:
        """Take away everything of ours."""
        if self.backend == "nftables":
            yield from self._attempt(self._table.remove(), math.inf)
        else:
            yield from self._attempt(self._remove_own(), math.inf)
        yield from self._attempt(self._foreign.remove(), math.inf)

    def take_problems(self) -> list[RulesError]:
        """What went wrong since last asked."""
        problems, self._problems = self._problems, []
        return problems

    def close(self) -> None:
        """Stop listening to notices."""
        if self._notices is not None:
            self._notices.close()

    def _attempt(self, job: Job, now: float) -> Steps[bool]:
        """Whether `job` came to its end; what stopped it is kept, and it is tried again soon."""
        try:
            yield from job
        except RulesError as error:
            self._problems.append(error)
            self._table_at = self._foreign_at = now + self._retry_seconds
            self._retry_seconds = min(self._retry_seconds * 2, self._options.sync_seconds)
            return False
        return True

    def _beside(self, job: Job) -> Job:
        """Keep what stopped `job` for `take_problems`: the rules are in place all the same."""
        try:
            yield from job
        except RulesError as error:
            self._problems.append(error)

    def _ensure_own(self, now: float) -> Job:
        if self.backend == "nftables":
            yield from self._table.ensure(now)
            return
        iptables = yield from self._chosen_iptables()
        if self._pod_chain is not None:
            yield from self._beside(self._pod_chain.ensure(self._pods, now))
        yield from iptables.ensure()

    def _remove_own(self) -> Job:
        iptables = yield from self._chosen_iptables()
        yield from iptables.remove(self._options.addresses)
        if self._pod_chain is not None:
            yield from self._pod_chain.remove()

    def _chosen_iptables(self) -> Steps[Iptables]:
        """Our rules in the variant that kube-proxy uses, found out once."""
        if self._iptables is None:
            options = self._options
            variant = yield from find_variant()
            versions = tuple(dict.fromkeys(ip.version for ip in options.addresses))
            is_by_socket = yield from has_socket_match(variant, versions)
            self.fail_open = FailOpen.SOCKET if is_by_socket else FailOpen.LEASE
            log.info("packet rules through %s", binary(variant, 4))
            rules = all_rules(options, self.fail_open)
            self._iptables = Iptables(variant, rules)
            if any(rule.table == "nat" for rule in rules):
                self._pod_chain = PodChain(variant, _services(options))
            has_nft = (yield Command((NFT, "--version"))).is_ok
            own = yield from _resolved(variant)
            self._foreign = ForeignFilters(options, has_nft=has_nft, own_variant=own)
            self._foreign.watched |= {(rule.table, rule.chain) for rule in rules}
        return self._iptables

    def _remove_leftovers(self) -> Job:
        """Rules of a former life with another backend, and the original's own, once."""
        addresses = tuple(dict.fromkeys((*self._options.addresses, *self._former)))
        own_rules = self._iptables.rules if self._iptables is not None else ()
        ours = (*own_rules, *self._foreign.rules)
        if self.backend == "iptables":
            yield Command((NFT, "delete", "table", *TABLE.split()))  # mostly: there is none
        own = ""
        if self._iptables is not None:
            own = yield from _resolved(self._iptables.variant)
        for variant in VARIANTS:
            in_use = legacy_tables(4) | legacy_tables(6)
            if variant == "legacy" and not in_use:
                continue
            if not (yield Command((binary(variant, 4), "--version"))).is_ok:
                continue  # not in this image: nor can a former life have used it
            # our accepts may be anywhere on purpose
            keep = tuple(rule for rule in ours if variant == own or rule.table == "filter")
            yield from Iptables(variant, ours).remove(addresses, keep=keep)
            if variant != own:
                yield from PodChain(variant, {4: None, 6: None}).remove()


def _services(options: HostOptions) -> dict[int, Endpoint | None]:
    """Family → the Service that queries fall back to when no kube-dns pod is known."""
    services: dict[int, Endpoint | None] = {}
    for ip in options.addresses:
        to_address = options.fallback_of(ip)
        services.setdefault(ip.version, None)
        if to_address is not None:
            services[ip.version] = Endpoint(to_address, options.dns_port)
    return services


def _resolved(variant: str) -> Steps[str]:
    """Which variant the system's choice ("") is."""
    if variant:
        return variant
    told = yield Command((binary("", 4), "--version"))
    return "nft" if "nf_tables" in told.stdout else "legacy"
