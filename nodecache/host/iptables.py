"""The rules through iptables and ip6tables: checked, added, listed, deleted until gone.

Two programs may be behind the name, with separate rules: `legacy` and `nft`. Ours go where
kube-proxy's chains are, for there the cluster's rules are.
"""

import logging
import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from .commands import Command, Job, Result, Steps
from .legacy import legacy_tables
from .nftables import RulesError
from .options import Address
from .rules import ALLOW_TRAFFIC, FALL_BACK, SKIP_CONNTRACK, Rule

log = logging.getLogger(__name__)

VARIANTS = ("nft", "legacy")
COMMENTS = (SKIP_CONNTRACK, ALLOW_TRAFFIC, FALL_BACK)
LOCK_WAIT = ("-w", "5")  # seconds; iptables 1.4.22 and later
MAX_ROUNDS = 20  # of deleting what is listed: a rule doubled by a fault is still only so many
_CHAINS = (
    ("raw", "PREROUTING"),
    ("raw", "OUTPUT"),
    ("filter", "INPUT"),
    ("filter", "OUTPUT"),
    ("nat", "PREROUTING"),
    ("nat", "OUTPUT"),
)
# Chains that the kubelet or kube-proxy makes in every mode that uses iptables.
_KUBE_CHAINS = (
    ("mangle", "KUBE-IPTABLES-HINT"),
    ("mangle", "KUBE-KUBELET-CANARY"),
    ("mangle", "KUBE-PROXY-CANARY"),
    ("nat", "KUBE-SERVICES"),
)

InUse = Callable[[int], frozenset[str]]
"""Family → the legacy tables in use: naming another one to iptables-legacy would create it."""

Identity = tuple[str, str, str, bool, str, frozenset[str], str]
"""Table and chain, address, protocol, to (or from), port, further matches, target."""

_MATCHES = {"addrtype", "socket"}
POD_CHAIN = "NODECACHE-DNS"  # in the nat table: see pod_chain.py
_TRIAL_CHAIN = "NODECACHE-TRIAL"
_OUR_SOCKET = ("-m", "socket", "--transparent", "--nowildcard")


@dataclass(frozen=True, slots=True)
class Listed:
    """One rule as `iptables -S` prints it: what makes it ours, and the words that delete it."""

    table: str
    chain: str
    words: tuple[str, ...]
    packets: int
    comment: str
    address: Address | None
    identity: Identity

    @property
    def is_to(self) -> bool:
        """Whether it is for traffic to the address, that is for queries."""
        return self.identity[3]


def binary(variant: str, version: int) -> str:
    """The program for a variant ("nft", "legacy", or "" for the system's choice) and family."""
    name = "iptables" if version == 4 else "ip6tables"
    return f"{name}-{variant}" if variant else name


def argv(variant: str, operation: str, rule: Rule) -> tuple[str, ...]:
    """The command line that checks (`-C`), adds (`-I`, `-A`) or deletes (`-D`) one rule."""
    side = "d" if rule.is_to else "s"
    type_match = "--dst-type" if rule.is_to else "--src-type"
    matches: tuple[str, ...] = ()
    if rule.is_local_only:
        matches = ("-m", "addrtype", type_match, "LOCAL")
    elif rule.is_away_only:
        matches = ("-m", "addrtype", "!", type_match, "LOCAL")
    if rule.is_bound_only:
        matches += _OUR_SOCKET
    return (
        binary(variant, rule.address.version), *LOCK_WAIT, operation, rule.chain, "-t", rule.table,
        "-p", rule.protocol, f"-{side}", str(rule.address), f"--{side}port", str(rule.port),
        *matches, "-j", _target(rule), "-m", "comment", "--comment", rule.comment,
    )  # fmt: skip


def _target(rule: Rule) -> str:
    return POD_CHAIN if rule.target == "DNAT" else rule.target


def identity(rule: Rule) -> Identity:
    """What tells one of our rules from another, comparable with `Listed.identity`."""
    return (
        f"{rule.table} {rule.chain}", str(rule.address), rule.protocol, rule.is_to,
        str(rule.port), frozenset(_MATCHES & set(argv("", "-C", rule))), _target(rule),
    )  # fmt: skip


def read_listing(table: str, text: str) -> list[Listed]:
    """The rules with one of our comments in what `iptables -v -S CHAIN -t TABLE` prints."""
    return [
        _read_line(table, shlex.split(line))
        for line in text.splitlines()
        if line.startswith("-A ") and any(comment in line for comment in COMMENTS)
    ]


def _read_line(table: str, words: list[str]) -> Listed:
    packets = 0
    if "-c" in words:
        at = words.index("-c")
        packets = int(words[at + 1])
        del words[at : at + 3]

    def after(*options: str) -> str:
        return next((words[words.index(o) + 1] for o in options if o in words), "")

    text = after("-d", "-s").partition("/")[0]
    address = ip_address(text) if text else None
    chain, is_to = words[1], "-d" in words
    port = after("--dport" if is_to else "--sport")
    target = {"CT": "NOTRACK"}.get(after("-j"), after("-j"))
    named = (
        f"{table} {chain}", str(address), after("-p"), is_to, port,
        frozenset(_MATCHES & set(words)), target,
    )  # fmt: skip
    return Listed(table, chain, tuple(words[2:]), packets, after("--comment"), address, named)


def asked_for_good(command: Command) -> Steps[Result]:
    """The result of a program whose answer holds as long as we live.

    Raises RulesError, to be asked again, where it gave none: it was killed, could not be started, or found
    the lock taken. Not knowing is no reason to choose the other way.
    """
    result = yield command
    if result.code is None or (not result.is_ok and _is_locked(result)):
        raise problem(result, str(command))
    return result


def find_variant(in_use: InUse = legacy_tables) -> Steps[str]:
    """Where kube-proxy's chains are: "nft", "legacy", or "" (the system's choice) for nowhere."""
    for table, chain in _KUBE_CHAINS:
        for variant in VARIANTS:
            if variant == "legacy" and table not in in_use(4):
                continue
            listing = (binary(variant, 4), *LOCK_WAIT, "-n", "-L", chain, "1", "-t", table)
            if (yield from asked_for_good(Command(listing))).is_ok:
                return variant
    return ""


def has_socket_match(variant: str, versions: Iterable[int]) -> Steps[bool]:
    """Whether the kernel can match on a socket of ours: tried with a rule in a chain that no packet enters."""
    reason = ""
    for version in versions:
        chain = (binary(variant, version), *LOCK_WAIT, "-t", "raw")
        yield Command((*chain, "-N", _TRIAL_CHAIN))
        for protocol in ("tcp", "udp"):
            rule = ("-A", _TRIAL_CHAIN, "-p", protocol, *_OUR_SOCKET)
            tried = yield from asked_for_good(Command((*chain, *rule)))
            reason = reason or ("" if tried.is_ok else tried.reason)
        yield Command((*chain, "-F", _TRIAL_CHAIN))
        yield Command((*chain, "-X", _TRIAL_CHAIN))
    if reason:
        log.info(
            "iptables: no match on sockets (%s): the rules fail open by the lease alone", reason
        )
    return not reason


class Iptables:
    """A set of rules in one variant. Jobs raise RulesError after trying the last rule."""

    def __init__(
        self, variant: str, rules: tuple[Rule, ...], in_use: InUse = legacy_tables
    ) -> None:
        self.variant = variant
        # where to fall back to is the chain's to know: one jump, whatever is in it
        self.rules = tuple(rule for rule in rules if rule.to_address is None)
        self._in_use = in_use
        self.packets: dict[str, int] = {}
        self.repairs = 0
        self._was_complete = False

    def ensure(self) -> Job:
        """Each rule exactly once: listed, or else `-C`, and `-I` at the head when it is not there."""
        problem: RulesError | None = None
        present = yield from self._count_and_tidy()
        # Those for replies first: a reply that is tracked where its query was not makes an entry for
        # the client's port, and a later query from there is taken for an answer.
        for rule in sorted(self.rules, key=lambda rule: rule.is_to):
            if identity(rule) in present:
                continue
            try:
                yield from self._ensure(rule)
            except RulesError as error:
                problem = problem or error
                if error.errortype == "iptables_lock":
                    break  # the next rule would wait for the same lock
        if problem is not None:
            raise problem
        self._was_complete = True

    def remove(
        self,
        addresses: tuple[Address, ...],
        *,
        keep: tuple[Rule, ...] = (),
        chains: tuple[tuple[str, str], ...] = (),
        is_for_queries: bool = False,
    ) -> Job:
        """Delete every rule of ours or the original's for `addresses`, but for those of `keep`.

        `is_for_queries`: only those that match queries; those for replies stay.

        Looked for in `chains` (table, chain), by default in every one that may hold such rules.
        """
        kept = {identity(rule) for rule in keep}
        self._was_complete = False
        for version in sorted({address.version for address in addresses}):
            for table, chain in chains or _CHAINS:
                for _ in range(MAX_ROUNDS):
                    rules = yield from self.listed(version, table, chain)
                    doomed = [
                        rule
                        for rule in rules
                        if rule.address in addresses
                        and rule.identity not in kept
                        and (rule.is_to or not is_for_queries)
                    ]
                    if not doomed:
                        break
                    yield from self._delete(version, doomed)

    def listed(self, version: int, table: str, chain: str) -> Steps[list[Listed]]:
        """The rules with our comments in one chain; none where the table is not in use."""
        if self.variant == "legacy" and table not in self._in_use(version):
            return []
        listing = (binary(self.variant, version), *LOCK_WAIT, "-v", "-S", chain, "-t", table)
        result = yield Command(listing)
        if result.code not in (0, 1):  # 1: no such chain
            raise problem(result, f"{table} {chain}")
        return read_listing(table, result.stdout)

    def _ensure(self, rule: Rule) -> Job:
        found = yield Command(argv(self.variant, "-C", rule))
        if found.is_ok:
            return
        if found.code != 1:
            raise problem(found, str(rule))
        # kube-proxy's DNAT comes first: it knows pods better than our list does
        operation = "-A" if rule.table == "nat" else "-I"
        inserted = yield Command(argv(self.variant, operation, rule))
        if not inserted.is_ok:
            raise problem(inserted, str(rule))
        if self._was_complete:
            self.repairs += 1
            log.info("added back rule: %s", rule)

    def _count_and_tidy(self) -> Steps[set[Identity]]:
        """Which rules are there; counts their packets, and deletes doubles."""
        wanted = {identity(rule): rule for rule in self.rules}
        packets: Counter[str] = Counter()
        present: set[Identity] = set()
        for version in sorted({rule.address.version for rule in self.rules}):
            for table, chain in dict.fromkeys((rule.table, rule.chain) for rule in self.rules):
                doubles = []
                for rule in (yield from self.listed(version, table, chain)):
                    if rule.identity not in wanted:
                        continue
                    if table != "filter":
                        packets[wanted[rule.identity].counter] += rule.packets
                    if rule.identity in present:
                        doubles.append(rule)
                    present.add(rule.identity)
                yield from self._delete(version, doubles)
        self.packets.update(packets)
        return present

    def _delete(self, version: int, rules: list[Listed]) -> Job:
        """Delete each of `rules` once, by the words that listed it."""
        for rule in rules:
            command = (
                binary(self.variant, version),
                *LOCK_WAIT,
                "-D",
                rule.chain,
                "-t",
                rule.table,
            )
            deleted = yield Command((*command, *rule.words))
            if not deleted.is_ok and deleted.code != 1:
                raise problem(deleted, f"{rule.table} {rule.chain} {rule.address}")


def _is_locked(result: Result) -> bool:
    """Whether iptables failed to get the xtables lock, in the words of any of its versions."""
    return "xtables lock" in result.stderr or "xtables.lock" in result.stderr


def problem(result: Result, what: str) -> RulesError:
    """The error of a program that failed at `what`."""
    errortype = "iptables_lock" if _is_locked(result) else "iptables"
    return RulesError(f"iptables: {what}: {result.reason}", errortype)
