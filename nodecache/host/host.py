"""What nodecache holds up on the node, driven from a loop that somebody else runs.

Nothing here waits. Links and addresses are changed by single netlink requests, answered within
the system call; nft and iptables run as children that a Runner follows. Everything that can wake
us sits in one epoll, whose descriptor the keeper polls. Time is told as `now`, in monotonic
seconds.
"""

import logging
import math
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import privileges
from .commands import Job, Runner, run_now
from .complaints import Complaints
from .interface import Interface, opened
from .netlink import Netlink, Notices
from .options import Address, HostError, HostOptions
from .pods import LIST_SECONDS, RENEW_SECONDS, Endpoint, PodList, usable
from .rulebook import Rulebook, choose_backend

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0  # doubled up to the sync interval
SETTLE_SECONDS = 0.01  # several notices in a row are looked at once


@dataclass(slots=True)
class HostCounts:
    """What the metrics tell of the host side."""

    link_repairs: int = 0
    address_repairs: int = 0
    renewals: int = 0


class Host:
    """Interface, addresses, lease and rules of one node."""

    def __init__(self, options: HostOptions, make_netlink: Callable[[], Netlink] = Netlink) -> None:
        self.options = options
        self._make_netlink = make_netlink
        self.counts = HostCounts()
        self._complaints = Complaints()
        self._poller = select.epoll()
        self._runner = Runner(self._poller)
        self._netlink: Netlink | None = None
        self._notices: Notices | None = None
        self._interface: Interface | None = None
        self._rulebook: Rulebook | None = None
        self._is_checked = False
        self._is_up = False
        self._is_held = True
        self._lease_until = 0.0
        self._interface_at = math.inf  # when to compare link and addresses
        self._retry_seconds = RETRY_SECONDS
        self._pods = PodList()

    @property
    def poller(self) -> select.epoll:
        """The epoll that holds all our descriptors; others of the keeper's side may join."""
        return self._poller

    def fileno(self) -> int:
        """One descriptor, readable when `turn` has something to do."""
        return self._poller.fileno()

    @property
    def is_settled(self) -> bool:
        """No program runs and none waits to be run."""
        return self._runner.is_idle

    def check_needs(self) -> None:
        """Look whether all that is asked for can be done, and touch nothing.

        Waits for programs asked for their version, a few seconds at the worst: call it before
        anything is served. Raises HostError.
        """
        options = self.options
        needs_admin = options.setup_interface or options.rules != "none"
        if needs_admin and not privileges.has_capability(privileges.CAP_NET_ADMIN):
            raise HostError(
                "CAP_NET_ADMIN is missing (securityContext.capabilities.add NET_ADMIN);"
                " without it use -setupinterface=false -setupiptables=false"
            )
        if options.setup_interface:
            self._open_interface().check()
        if options.rules != "none" and self._rulebook is None:
            self._rulebook = Rulebook(options, choose_backend(options, run_now))
        self._is_checked = True

    def bring_up(self, now: float) -> None:
        """Draw the traffic: rules as soon as the programs have run, and then the addresses.

        Those that are on the node already stay: another agent, or a former life, has put them up.
        A query that comes to an address before its rules is tracked as one to the node itself, and
        another one from the same port would not be sent to kube-dns once we are gone.

        What cannot be done is logged, counted and tried again. Raises HostError only when
        `check_needs` was not called and would have.
        """
        if not self._is_checked:
            self.check_needs()
        self._is_up = self._is_held = True
        self._lease_until = now + self.options.lease_seconds
        if self._interface is not None and self._notices is None:
            assert self._netlink is not None
            self._notices = Notices(self._netlink.port_id)
            self._poller.register(self._notices.fileno(), select.EPOLLIN)
        if self._rulebook is not None:
            self._rulebook.watch(self._poller)
        if self._rulebook is not None and self._interface is not None and self._interface.is_away:
            self._rulebook.ask_all(now, ())
            self._start_rules(now)
            self._runner.add("interface", self._interface_job())
            self.turn(now)
        else:
            self.sync(now)

    def sync(self, now: float) -> None:
        """Compare everything with what is wanted, and mend it."""
        if not self._is_up:
            return
        self._ensure_interface(now)
        if self._rulebook is not None:
            former = self._interface.former if self._interface is not None else ()
            self._rulebook.ask_all(now, former)
        self.turn(now)

    def turn(self, now: float) -> None:
        """Do what is due: notices, ended programs, repairs. Never waits."""
        self._runner.turn(now)
        self._read_notices(now)
        if self._is_up:
            if now >= self._interface_at:
                self._ensure_interface(now)
            self._start_rules(now)
            self._runner.turn(now)

    def next_wake(self, now: float) -> float:
        """When `turn` is to be called even if `fileno()` is not readable; infinity for never."""
        times = [math.inf]
        if (at := self._runner.next_wake(now)) is not None:
            times.append(at)
        if self._is_up:
            times.append(self._interface_at)
            if self._rulebook is not None and self._runner.is_idle:
                times.append(self._rulebook.wake_at)
        return min(times)

    def renew(self, now: float) -> None:
        """Extend the lease of the leased addresses: only while the worker answers."""
        if not self._is_up or not self._is_held:
            return
        self._lease_until = now + self.options.lease_seconds
        self.counts.renewals += 1
        self._change(now, "renew", self.options.lease_seconds)

    def set_dns_pods(self, pods: Sequence[Endpoint], now: float) -> None:
        """Have queries that nobody takes sent to one of these kube-dns pods.

        To be called whenever they were looked up, at least once a minute. The kernel forgets them after
        LIST_SECONDS. Those to which nothing can be sent are passed over; of none at all nothing is
        changed: the ones before are better than nothing.
        """
        endpoints = usable(pods, self.options.addresses)
        is_fresh = now < self._pods.until - LIST_SECONDS + RENEW_SECONDS / 2
        if (
            self._rulebook is None
            or not endpoints
            or (is_fresh and endpoints == self._pods.endpoints)
        ):
            return
        self._pods = PodList(endpoints, now + LIST_SECONDS)
        if self._is_up:
            self._runner.add("pods", self._guarded(self._rulebook.set_pods(self._pods, now), now))

    def withdraw(self, now: float) -> None:
        """Take the leased addresses away at once: whoever else serves them takes over."""
        self._is_held = False
        self._change(now, "withdraw", 0)

    def restore(self, now: float) -> None:
        """Draw the leased addresses' traffic again."""
        self._is_held = True
        self.renew(now)

    def let_go(self) -> None:
        """Leave everything as it is, and touch it no more: another agent holds it up.

        A program that runs is let end. `bring_up` takes it all back.
        """
        self._is_up = False
        self._runner.drop()

    def release(self, now: float) -> None:
        """Have new queries go elsewhere, now that our sockets have no mark; the addresses stay.

        With the addresses still there, what is in flight can be answered. `is_settled` tells when
        it is done. Nothing is repaired from here on.
        """
        self._is_up = False
        self._runner.drop()
        self._give_up("give back", lambda rulebook: rulebook.turn_away(now), now)

    def leave_rules(self, now: float) -> None:
        """Leave of all rules those alone that send queries to kube-dns' pods, and expire.

        The last thing a clean stop does. `is_settled` tells when it is done. What a former life left goes
        too, where this one has not come as far as to bring the host up.
        """
        self._give_up("leave", lambda rulebook: rulebook.leave(now), now)

    def remove_rules(self, now: float) -> None:
        """Take away every rule: the agent that takes over wants none. `is_settled` tells when."""
        self._give_up("remove", Rulebook.remove, now)

    def _give_up(self, name: str, job: Callable[[Rulebook], Job], now: float) -> None:
        if self._rulebook is not None and not self.options.skip_teardown:
            self._runner.add(name, self._guarded(job(self._rulebook), now))
        self._runner.turn(now)

    def remove_interface(self, now: float) -> None:
        """Delete the link with its addresses, once all is answered."""
        self._is_up = False
        if self._interface is None or self.options.skip_teardown:
            return
        try:
            self._interface.remove()
        except HostError as error:
            self._complaints.add("interface_check", str(error), now)

    def settle(self, seconds: float) -> bool:
        """Run a loop of our own until settled, at most `seconds`; whether it came to that."""
        deadline = time.monotonic() + seconds
        while not self.is_settled:
            now = time.monotonic()
            if now >= deadline:
                return False
            wait = min(self.next_wake(now), deadline) - now
            self._poller.poll(max(wait, 0.001))
            self.turn(time.monotonic())
        return True

    def probe_addresses(self, now: float) -> tuple[Address, ...]:
        """The listen addresses at which only our own worker can answer.

        Without our rules in place a query to a Service address is sent on by kube-proxy's, from
        this host too, and kube-dns would answer for the worker.
        """
        is_in_place = self._rulebook is not None and self._rulebook.is_in_place
        is_ours = is_in_place and self._has_lease(now)
        interface = self._interface
        if interface is not None and not interface.index:
            return ()
        away = interface.refused if interface is not None else ()
        return tuple(
            ip
            for ip in self.options.addresses
            if ip not in away and not ip.is_unspecified and (is_ours or self._stays(ip))
        )

    def state(self) -> dict[str, Any]:
        """What the worker's metrics tell of us, ready for JSON."""
        book = self._rulebook
        return {
            "setup_errors": dict(self._complaints.counts),
            "repairs": {
                "link": self.counts.link_repairs,
                "address": self.counts.address_repairs,
                "rules": book.repairs if book is not None else 0,
            },
            "rule_packets": book.packets if book is not None else {},
            "rules_backend": book.backend if book is not None else "none",
            "rules_fail_open": book.fail_open.value if book and book.fail_open else "",
            "lease": {
                "seconds": self.options.lease_seconds,
                "is_held": self._is_held,
                "renewals": self.counts.renewals,
            },
        }

    def close_in_child(self) -> None:
        """After a fork, in the child: close the descriptors, change nothing on the host."""
        for part in (self._poller, self._netlink, self._notices):
            if part is not None:
                part.close()
        if self._rulebook is not None:
            self._rulebook.close()
        self._runner.close_in_child()

    def _has_lease(self, now: float) -> bool:
        """Whether the leased addresses should be there; after a pause of ours they may be gone."""
        return self._is_held and (now < self._lease_until or not self.options.leased_addresses)

    def _stays(self, address: Address) -> bool:
        """Whether an address is there, and nobody else's, however the lease and the rules stand."""
        return address.is_link_local and address in self.options.standing_addresses

    def _open_interface(self) -> Interface:
        if self._interface is None:
            self._netlink = opened(self._make_netlink)
            self._interface = Interface(self.options, self._netlink)
        return self._interface

    def _wanted(self, now: float) -> dict[Address, int]:
        """Address → lifetime. A repair gives no more than what is left of the lease."""
        wanted = dict.fromkeys(self.options.standing_addresses, 0)
        if self._has_lease(now):
            left = math.ceil(self._lease_until - now)
            wanted |= dict.fromkeys(self.options.leased_addresses, left)
        return wanted

    def _interface_job(self) -> Job:
        """The interface in its turn among programs."""
        self._ensure_interface(time.monotonic())
        return
        yield  # a job is a generator

    def _ensure_interface(self, now: float) -> None:
        self._interface_at = now + self.options.sync_seconds
        if self._interface is None:
            return
        is_first = not self._interface.index
        try:
            repairs = self._interface.ensure(self._wanted(now))
            self._retry_seconds = RETRY_SECONDS
        except HostError as error:
            self._complaints.add(
                "interface_add" if is_first else "interface_check", str(error), now
            )
            self._interface_at = now + self._next_retry()
            return
        if is_first:
            log.info("interface %s holds %s", self.options.interface, _texts(self._wanted(now)))
        elif repairs:
            self.counts.link_repairs += repairs.link
            self.counts.address_repairs += repairs.address
            log.info(
                "repaired interface %s: link %d, addresses %d",
                self.options.interface, repairs.link, repairs.address,
            )  # fmt: skip

    def _change(self, now: float, what: str, seconds: float) -> None:
        """Renew (`seconds` > 0) or remove the leased addresses."""
        leased = self.options.leased_addresses
        if self._interface is None or not leased or not self._interface.index:
            return
        try:
            if seconds:
                self._interface.renew(leased, seconds)
            else:
                self._interface.remove_addresses(leased)
        except HostError as error:
            self._complaints.add("interface_check", f"{what}: {error}", now)
            self._interface_at = now

    def _read_notices(self, now: float) -> None:
        if self._notices is not None and self._interface is not None:
            options = self.options
            if self._notices.concerns(options.interface, self._interface.index, options.addresses):
                self._interface_at = min(self._interface_at, now + SETTLE_SECONDS)
        if self._rulebook is not None:
            self._rulebook.read_notices(now)

    def _start_rules(self, now: float) -> None:
        book = self._rulebook
        if book is not None and now >= book.due_at and self._runner.is_idle:
            self._runner.add("rules", self._guarded(book.ensure(now), now))

    def _guarded(self, job: Job, now: float) -> Job:
        """A job of the rulebook's; what went wrong in it is logged and counted."""
        assert self._rulebook is not None
        yield from job
        for problem in self._rulebook.take_problems():
            self._complaints.add(problem.errortype, str(problem), now)

    def _next_retry(self) -> float:
        seconds = self._retry_seconds
        self._retry_seconds = min(seconds * 2, self.options.sync_seconds)
        return seconds


def _texts(addresses: dict[Address, int]) -> str:
    return ", ".join(f"{ip}" + (f" for {left} s" if left else "") for ip, left in addresses.items())
