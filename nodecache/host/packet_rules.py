"""The packet rules: which backend makes them, when they are compared with what is wanted, what failed."""

import logging
import math
import select
from collections.abc import Callable
from dataclasses import dataclass

from .commands import Command, Job, Result, Steps
from .foreign import ForeignFilters
from .iptables import VARIANTS, Iptables, binary
from .iptables_backend import IptablesBackend
from .legacy import Sizes, legacy_tables, sizes
from .nft_monitor import NftMonitor
from .nft_script import TABLE, table_script
from .nftables import NFT, NftTable, RulesError
from .options import Address, HostError, HostOptions, of_version
from .pod_chain import PodChain
from .pods import PodList
from .rules import FailOpen

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
TEARDOWN_ATTEMPTS = 3  # a lock is waited for 5 s in each
FOREIGN_SECONDS = 1.0  # the host's firewall is compared no more often than this
SIZE_CHECK_SECONDS = 1.0  # how often legacy tables, which notify nobody, are asked for their size
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

    Has the kernel check the very table that will be wanted. Raises HostError.
    """
    reasons = []
    if options.rules in ("auto", "nftables"):
        refused: dict[FailOpen, str] = {}
        for fail_open in FailOpen:
            check = Command(
                (NFT, "-c", "-f", "-"), table_script(options, fail_open), VERSION_SECONDS
            )
            checked = run(check)
            if checked.code is None:  # no answer: by now the modules may be there
                checked = run(check)
            if checked.is_ok:  # some are built without JSON
                checked = run(Command((NFT, "-j", "list", "tables"), "", VERSION_SECONDS))
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


class PacketRules:
    """Our rules in the chosen backend, and our accepts in the host's own filters.

    `now` is monotonic seconds. Problems of jobs are kept for `take_problems`.
    """

    def __init__(self, options: HostOptions, backend: Backend) -> None:
        self._options = options
        self.backend = backend.name
        self._foreign = ForeignFilters(options, has_nft=backend.name == "nftables")
        self._iptables: IptablesBackend | None = None
        self._own: NftTable | IptablesBackend
        if backend.name == "nftables":
            self._own = NftTable(options, backend.fail_open or FailOpen.LEASE)
        else:
            self._own = self._iptables = IptablesBackend(options, self._foreign, self._note)
        self._monitor: NftMonitor | None = None
        self._former: tuple[Address, ...] = ()
        self._is_own_right = self._is_foreign_right = False  # as of the last comparison
        self._was_in_place = False
        self._is_clean = False  # rules of earlier runs were looked for
        self._problems: list[RulesError] = []
        self._retry_seconds = RETRY_SECONDS
        self._own_at = self._foreign_at = math.inf
        self._foreign_compared_at = -math.inf
        self._sizes: Sizes = {}
        self._check_sizes_at = math.inf

    @property
    def due_at(self) -> float:
        """When `ensure` is to be run next."""
        return min(self._own_at, self._foreign_at)

    @property
    def wake_at(self) -> float:
        """When to call `read_changes` or `ensure` next."""
        return min(self.due_at, self._check_sizes_at)

    @property
    def is_in_place(self) -> bool:
        """Whether the last comparison left nothing to do."""
        return self._is_own_right and self._is_foreign_right

    @property
    def fail_open(self) -> FailOpen | None:
        """What makes the rules stop matching when the agent is dead; None while that is not known."""
        return self._own.fail_open

    @property
    def packets(self) -> dict[str, int]:
        """Packets seen by rule, as of the last comparison."""
        return dict(self._own.packets)

    @property
    def repairs(self) -> int:
        """How often something had to be put back."""
        return self._own.repairs + self._foreign.repairs

    def watch(self, poller: select.epoll) -> None:
        """Have the kernel notify us of changes of nftables, where it has them."""
        if self._monitor is None:
            try:
                self._monitor = NftMonitor()
            except OSError:
                return  # no nftables in this kernel: comparing now and then has to do
            poller.register(self._monitor.fileno(), select.EPOLLIN)

    def compare_all(self, now: float, former: tuple[Address, ...]) -> None:
        """Have everything compared by the next `ensure`; `former` are addresses of earlier runs."""
        self._former = former
        self._own_at = self._foreign_at = now

    def read_changes(self, now: float) -> None:
        """Find out what others changed, and so what is to be compared, and when."""
        if now >= self._check_sizes_at:
            self._check_sizes(now)
        if self._monitor is None:
            return
        changes = self._monitor.changes(TABLE.split()[1], self._foreign.watched)
        if changes.is_table and self.backend == "nftables":
            self._own_at = min(self._own_at, now)
        if changes.is_foreign:
            self._compare_soon(now)

    def _compare_soon(self, now: float) -> None:
        soon = max(now, self._foreign_compared_at + FOREIGN_SECONDS)
        self._foreign_at = min(self._foreign_at, soon)
        if self.backend == "iptables":
            self._own_at = min(self._own_at, soon)

    def _check_sizes(self, now: float) -> None:
        """Check whether a legacy table has other sizes than after the last comparison."""
        self._check_sizes_at = now + SIZE_CHECK_SECONDS
        if self._current_sizes() != self._sizes:
            self._check_sizes_at = math.inf  # until compared
            self._compare_soon(now)

    @staticmethod
    def _current_sizes() -> Sizes:
        try:
            return sizes(LEGACY_TABLES)
        except OSError as error:  # then comparing now and then has to do
            log.debug("legacy tables cannot be asked for their size: %s", error.strerror)
            return {}

    def ensure(self, now: float) -> Job:
        """Compare and repair what is due."""
        if now >= self._own_at:
            self._own_at = now + self._options.sync_seconds
            self._is_own_right = yield from self._attempt(self._own.ensure(now), now)
        if now >= self._foreign_at:
            self._foreign_at = now + self._options.sync_seconds
            self._foreign_compared_at = now
            self._is_foreign_right = yield from self._attempt(self._foreign.ensure(), now)
        if self.is_in_place:
            yield from self._once_in_place(now)
        self._sizes = self._current_sizes()
        self._check_sizes_at = now + SIZE_CHECK_SECONDS if self._sizes else math.inf
        if not self._problems:
            self._retry_seconds = RETRY_SECONDS

    def _once_in_place(self, now: float) -> Job:
        if not self._was_in_place:
            log.info("packet rules are in place (%s)", self.backend)
            self._was_in_place = True
        if not self._is_clean:
            self._is_clean = yield from self._attempt(self._remove_leftovers(), now)

    def set_pods(self, pods: PodList, now: float) -> Job:
        """Have queries that meet no socket sent to these kube-dns pods."""
        try:
            yield from self._own.set_pods(pods, now)
        except RulesError as error:  # the rules are in place all the same
            self._note(error)

    def stop_intercepting(self, now: float) -> Job:
        """Match queries to sockets without a mark no more, and keep replies out of conntrack.

        A reply that conntrack first sees afterwards would make an entry, with the Service's
        address as the client: a query from that client's port within the next minutes would not be
        sent to kube-dns, and get no answer.
        """
        yield from self._persist(lambda: self._own.stop_intercepting(now))

    def leave_fallbacks(self, now: float) -> Job:
        """Remove all rules of ours but the fallbacks to kube-dns' pods, which expire."""
        yield from self._persist(lambda: self._own.leave_fallbacks(now))
        yield from self._persist(self._foreign.remove)

    def remove(self) -> Job:
        """Remove all rules of ours."""
        yield from self._persist(self._own.remove)
        yield from self._persist(self._foreign.remove)

    def take_problems(self) -> list[RulesError]:
        """What went wrong since this was called last."""
        problems, self._problems = self._problems, []
        return problems

    def close(self) -> None:
        """Close the kernel's notifications."""
        if self._monitor is not None:
            self._monitor.close()

    def _note(self, problem: RulesError) -> None:
        self._problems.append(problem)

    def _attempt(self, job: Job, now: float) -> Steps[bool]:
        """Whether `job` came to its end; a RulesError is kept, and the job is due again soon."""
        try:
            yield from job
        except RulesError as error:
            self._note(error)
            self._own_at = self._foreign_at = now + self._retry_seconds
            self._retry_seconds = min(self._retry_seconds * 2, self._options.sync_seconds)
            return False
        return True

    def _persist(self, make_job: Callable[[], Job]) -> Job:
        """Try what takes rules away more than once: after it nobody does."""
        for _ in range(TEARDOWN_ATTEMPTS):
            if (yield from self._attempt(make_job(), math.inf)):
                return

    def _remove_leftovers(self) -> Job:
        """Remove rules of earlier runs with another backend, and the original's own."""
        addresses = tuple(dict.fromkeys((*self._options.addresses, *self._former)))
        own, ours = "", self._foreign.rules
        if self._iptables is not None:
            own, ours = self._iptables.variant, (*self._iptables.rules, *ours)
            yield Command((NFT, "delete", "table", *TABLE.split()))  # mostly: there is none
        for variant in VARIANTS:
            in_use = legacy_tables(4) | legacy_tables(6)
            if variant == "legacy" and not in_use:
                continue
            if not (yield Command((binary(variant, 4), "--version"))).is_ok:
                continue  # not in this image: no earlier run can have used it
            # our accepts may be anywhere on purpose
            keep = tuple(rule for rule in ours if variant == own or rule.table == "filter")
            yield from Iptables(variant, ours).remove(addresses, keep=keep)
            if variant != own:
                yield from PodChain(variant, {4: None, 6: None}).remove()
