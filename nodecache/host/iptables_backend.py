"""Our packet rules through iptables, in the variant that kube-proxy uses, with the chain of kube-dns' pods."""

import logging
from collections.abc import Callable

from .commands import Command, Job, Steps
from .foreign import ForeignFilters
from .iptables import Iptables, asked_for_good, binary, find_variant, has_socket_match
from .nftables import NFT, RulesError
from .options import HostOptions
from .pod_chain import PodChain
from .pods import Endpoint, PodList
from .rules import FailOpen, Rule, all_rules, rules_left

log = logging.getLogger(__name__)


class IptablesBackend:
    """The same jobs as `NftTable` has. They raise RulesError.

    `foreign` is told which variant is in use. `note` takes problems with which the rules are in
    place all the same.
    """

    def __init__(
        self, options: HostOptions, foreign: ForeignFilters, note: Callable[[RulesError], None]
    ) -> None:
        self._options = options
        self._foreign = foreign
        self._note = note
        self._pods = PodList()
        self._iptables: Iptables | None = None
        self._pod_chain: PodChain | None = None
        self.fail_open: FailOpen | None = None
        self.variant = ""
        """"nft" or "legacy" once it is known."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that are kept in place; none before the variant is known."""
        return self._iptables.rules if self._iptables is not None else ()

    @property
    def packets(self) -> dict[str, int]:
        """Packets seen by rule, as of the last comparison."""
        return self._iptables.packets if self._iptables is not None else {}

    @property
    def repairs(self) -> int:
        """How often a rule had to be put back."""
        return self._iptables.repairs if self._iptables is not None else 0

    def ensure(self, now: float) -> Job:
        """Have chain and rules in place."""
        iptables = yield from self._in_use()
        if self._pod_chain is not None:
            try:
                yield from self._pod_chain.ensure(self._pods, now)
            except RulesError as error:
                self._note(error)
        yield from iptables.ensure()

    def set_pods(self, pods: PodList, now: float) -> Job:
        """Send to these pods from now on."""
        self._pods = pods
        if self._pod_chain is not None:
            yield from self._pod_chain.set_pods(pods, now)

    def stop_intercepting(self, now: float) -> Job:  # noqa: ARG002 - nftables needs it
        """Remove the rules for queries that ask for no mark; connections under way still have theirs."""
        iptables = yield from self._in_use()
        chains = tuple(
            dict.fromkeys(
                (rule.table, rule.chain)
                for rule in iptables.rules
                if rule.table == "raw" and not rule.is_bound_only
            )
        )
        yield from iptables.remove(self._options.addresses, chains=chains, is_for_queries=True)

    def leave_fallbacks(self, now: float) -> Job:
        """Remove all rules but the fallbacks, and have the pods' chain expire; all if it is empty."""
        iptables = yield from self._in_use()
        chain = self._pod_chain
        if chain is None or not (yield from chain.leave_until_expiry(self._pods, now)):
            yield from self.remove()
            return
        left = rules_left(self._options, self.fail_open or FailOpen.LEASE)
        leftovers = Iptables(iptables.variant, left)
        yield from leftovers.ensure()
        yield from iptables.remove(self._options.addresses, keep=leftovers.rules)

    def remove(self) -> Job:
        """Remove rules and chain."""
        iptables = yield from self._in_use()
        yield from iptables.remove(self._options.addresses)
        if self._pod_chain is not None:
            yield from self._pod_chain.remove()

    def _in_use(self) -> Steps[Iptables]:
        """Our rules in the variant that kube-proxy uses, which is found out once."""
        if self._iptables is None:
            options = self._options
            variant = yield from find_variant()
            versions = tuple(dict.fromkeys(ip.version for ip in options.addresses))
            is_by_socket = yield from has_socket_match(variant, versions)
            self.fail_open = FailOpen.SOCKET if is_by_socket else FailOpen.LEASE
            log.info("packet rules through %s", binary(variant, 4))
            rules = all_rules(options, self.fail_open)
            has_nft = (yield from asked_for_good(Command((NFT, "--version")))).is_ok
            self.variant = yield from _resolved(variant)
            self._iptables = Iptables(variant, rules)
            if any(rule.table == "nat" for rule in rules):
                self._pod_chain = PodChain(variant, _services(options))
            self._foreign.use_iptables(self.variant, rules, has_nft=has_nft)
        return self._iptables


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
    told = yield from asked_for_good(Command((binary("", 4), "--version")))
    return "nft" if "nf_tables" in told.stdout else "legacy"
