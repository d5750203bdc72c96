"""What nodecache sets up on the node: interface, addresses and packet rules, driven by the keeper's loop.

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
from typing import Any

from . import privileges
from .commands import Job, Runner, run_now
from .leased_interface import LeasedInterface
from .netlink import Netlink
from .options import Address, HostError, HostOptions
from .packet_rules import PacketRules, choose_backend
from .pods import LIST_SECONDS, RENEW_SECONDS, Endpoint, PodList, usable
from .setup_errors import SetupErrors

log = logging.getLogger(__name__)


class Host:
    """Interface, addresses, lease and rules of one node."""

    def __init__(self, options: HostOptions, make_netlink: Callable[[], Netlink] = Netlink) -> None:
        self.options = options
        self._errors = SetupErrors()
        self._poller = select.epoll()
        self._runner = Runner(self._poller)
        self._interface = LeasedInterface(options, self._errors, make_netlink)
        self._rules: PacketRules | None = None
        self._is_checked = False
        self._is_up = False
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
        """Check that all that is asked for can be done, and change nothing.

        Waits for programs asked for their version, a few seconds at the worst: call it before
        anything is served. Raises HostError.
        """
        options = self.options
        needs_admin = options.setup_interface or options.rules != "none"
        if needs_admin and not privileges.has_capability(privileges.CAP_NET_ADMIN):
            raise HostError(
                f"{privileges.NET_ADMIN_IS_MISSING};"
                " without it use -setupinterface=false -setupiptables=false"
            )
        if options.setup_interface:
            self._interface.check()
        if options.rules != "none" and self._rules is None:
            self._rules = PacketRules(options, choose_backend(options, run_now))
        self._is_checked = True

    def bring_up(self, now: float) -> None:
        """Set up the rules and then, once their programs have run, the addresses.

        Addresses that are on the node already stay: another agent, or an earlier run, has added them.
        A query that comes to an address before its rules is tracked as one to the node itself, and
        another one from the same port would not be sent to kube-dns once we are gone.

        What cannot be done is logged, counted and tried again. Raises HostError only when
        `check_needs` was not called and would have.
        """
        if not self._is_checked:
            self.check_needs()
        self._is_up = True
        self._interface.begin(now, self._poller)
        if self._rules is not None:
            self._rules.watch(self._poller)
        if self._rules is not None and self._interface.is_away:
            self._rules.compare_all(now, ())
            self._start_rules(now)
            self._runner.add("interface", self._interface_job())
            self.turn(now)
        else:
            self.sync(now)

    def sync(self, now: float) -> None:
        """Compare everything with what is wanted, and repair it."""
        if not self._is_up:
            return
        self._interface.ensure(now)
        if self._rules is not None:
            self._rules.compare_all(now, self._interface.former)
        self.turn(now)

    def turn(self, now: float) -> None:
        """Do what is due: notifications, ended programs, repairs. Never waits."""
        self._runner.turn(now)
        self._interface.read_changes(now)
        if self._rules is not None:
            self._rules.read_changes(now)
        if self._is_up:
            if now >= self._interface.due_at:
                self._interface.ensure(now)
            self._start_rules(now)
            self._runner.turn(now)

    def next_wake(self, now: float) -> float:
        """When `turn` is to be called even if `fileno()` is not readable; infinity for never."""
        times = [math.inf]
        if (at := self._runner.next_wake(now)) is not None:
            times.append(at)
        if self._is_up:
            times.append(self._interface.due_at)
            if self._rules is not None and self._runner.is_idle:
                times.append(self._rules.wake_at)
        return min(times)

    def renew(self, now: float) -> None:
        """Extend the lease of the leased addresses: only while the worker answers."""
        if self._is_up:
            self._interface.renew(now)

    def withdraw(self, now: float) -> None:
        """Remove the leased addresses at once: kube-proxy carries their traffic."""
        self._interface.withdraw(now)

    def restore(self, now: float) -> None:
        """Add the leased addresses again."""
        self._interface.is_held = True
        self.renew(now)

    def set_dns_pods(self, pods: Sequence[Endpoint], now: float) -> None:
        """Have queries that meet no socket sent to one of these kube-dns pods.

        To be called whenever they were looked up, at least once a minute. The kernel forgets them after
        LIST_SECONDS. Pods to which nothing can be sent are left out; if none remains, the list
        before is kept.
        """
        endpoints = usable(pods, self.options.addresses)
        is_fresh = now < self._pods.until - LIST_SECONDS + RENEW_SECONDS / 2
        if self._rules is None or not endpoints or (is_fresh and endpoints == self._pods.endpoints):
            return
        self._pods = PodList(endpoints, now + LIST_SECONDS)
        if self._is_up:
            self._run_rules_job("pods", self._rules.set_pods(self._pods, now), now)

    def detach(self) -> None:
        """Change nothing any more, and leave everything as it is: another agent manages the host.

        A program that runs goes on to its end. `bring_up` takes the host back.
        """
        self._is_up = False
        self._runner.drop()

    def release(self, now: float) -> None:
        """Stop intercepting, now that our sockets have no mark; the addresses stay.

        With the addresses still there, what is in flight can be answered. `is_settled` tells when
        it is done. Nothing is repaired from here on.
        """
        self.detach()
        if self._rules is not None:
            self._tear_down("release", self._rules.stop_intercepting(now), now)
        self._runner.turn(now)

    def leave_fallbacks(self, now: float) -> None:
        """Remove all rules but those that send queries to kube-dns' pods, which expire.

        The last thing a clean stop does. `is_settled` tells when it is done. What an earlier run left goes
        too, where this one was stopped before it brought the host up.
        """
        if self._rules is not None:
            self._tear_down("leave", self._rules.leave_fallbacks(now), now)
        self._runner.turn(now)

    def remove_rules(self, now: float) -> None:
        """Remove every rule: the agent that takes over wants none. `is_settled` tells when."""
        if self._rules is not None:
            self._tear_down("remove", self._rules.remove(), now)
        self._runner.turn(now)

    def remove_interface(self, now: float) -> None:
        """Delete the link with its addresses, once everything is answered."""
        self._is_up = False
        if not self.options.skip_teardown:
            self._interface.remove(now)

    def settle(self, seconds: float) -> bool:
        """Run a loop of our own until settled, at most `seconds`; whether it came to that.

        What is not done by then is told: nobody takes away later what it leaves.
        """
        deadline = time.monotonic() + seconds
        while not self.is_settled:
            now = time.monotonic()
            if now >= deadline:
                self._tell_problems(now)
                log.error(
                    "packet rules may be left: not done in %g s: %s", seconds, self._runner.doing
                )
                return False
            wait = min(self.next_wake(now), deadline) - now
            self._poller.poll(max(wait, 0.001))
            self.turn(time.monotonic())
        return True

    def probe_addresses(self, now: float) -> tuple[Address, ...]:
        """The listen addresses at which only our own worker can answer a probe now."""
        has_rules = self._rules is not None and self._rules.is_in_place
        return self._interface.answered_by_us_alone(now, has_rules=has_rules)

    def state(self) -> dict[str, Any]:
        """The state of the host for the worker's metrics, ready for JSON."""
        rules, interface = self._rules, self._interface
        return {
            "setup_errors": dict(self._errors.counts),
            "repairs": {
                "link": interface.link_repairs,
                "address": interface.address_repairs,
                "rules": rules.repairs if rules is not None else 0,
            },
            "rule_packets": rules.packets if rules is not None else {},
            "rules_backend": rules.backend if rules is not None else "none",
            "rules_fail_open": rules.fail_open.value if rules and rules.fail_open else "",
            "lease": {
                "seconds": self.options.lease_seconds,
                "is_held": interface.is_held,
                "renewals": interface.renewals,
            },
        }

    def close_in_child(self) -> None:
        """After a fork, in the child: close the descriptors, change nothing on the host."""
        self._poller.close()
        self._interface.close_in_child()
        if self._rules is not None:
            self._rules.close()
        self._runner.close_in_child()

    def _interface_job(self) -> Job:
        """The interface in its turn among programs."""
        self._interface.ensure(time.monotonic())
        return
        yield  # a job is a generator

    def _start_rules(self, now: float) -> None:
        rules = self._rules
        if rules is not None and now >= rules.due_at and self._runner.is_idle:
            self._run_rules_job("rules", rules.ensure(now), now)

    def _tear_down(self, name: str, job: Job, now: float) -> None:
        if not self.options.skip_teardown:
            self._run_rules_job(name, job, now)

    def _run_rules_job(self, name: str, job: Job, now: float) -> None:
        self._runner.add(name, self._counted(job, now))

    def _counted(self, job: Job, now: float) -> Job:
        """A job of the rules; what went wrong in it is logged and counted."""
        yield from job
        self._tell_problems(now)

    def _tell_problems(self, now: float) -> None:
        for problem in self._rules.take_problems() if self._rules is not None else ():
            self._errors.add(problem.errortype, str(problem), now)
