"""The interface and its addresses over time: repaired, leased, watched for what others change."""

import logging
import math
import select
from collections.abc import Callable

from .interface import Interface, opened
from .netlink import LinkMonitor, Netlink
from .options import Address, HostError, HostOptions
from .setup_errors import SetupErrors

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0  # doubled up to the sync interval
SETTLE_SECONDS = 0.01  # several changes in a row are handled at once


class LeasedInterface:
    """The link with its addresses, and the lease of those that have a lifetime in the kernel.

    Where the host's interfaces are left alone (`-setupinterface=false`) there is no link, and only
    the lease is kept. Failures are counted in `errors`. `now` is monotonic seconds.
    """

    def __init__(
        self, options: HostOptions, errors: SetupErrors, make_netlink: Callable[[], Netlink]
    ) -> None:
        self._options = options
        self._errors = errors
        self._make_netlink = make_netlink
        self._netlink: Netlink | None = None
        self._monitor: LinkMonitor | None = None
        self._interface: Interface | None = None
        self._lease_until = 0.0
        self._retry_seconds = RETRY_SECONDS
        self.is_held = True
        """Whether the leased addresses are to be on the node."""
        self.due_at = math.inf
        """When to compare link and addresses with what is wanted."""
        self.link_repairs = 0
        self.address_repairs = 0
        self.renewals = 0

    def check(self) -> None:
        """Open netlink and look for a foreign link of that name; change nothing. Raises HostError."""
        if self._interface is None:
            self._netlink = opened(self._make_netlink)
            self._interface = Interface(self._options, self._netlink)
        self._interface.check()

    @property
    def is_away(self) -> bool:
        """Whether the link is to be made and is not there yet."""
        return self._interface is not None and self._interface.is_away

    @property
    def former(self) -> tuple[Address, ...]:
        """Addresses that an earlier agent put on the link."""
        return self._interface.former if self._interface is not None else ()

    def begin(self, now: float, poller: select.epoll) -> None:
        """Hold the leased addresses from now on, and watch for changes by others through `poller`."""
        self.is_held = True
        self._lease_until = now + self._options.lease_seconds
        if self._netlink is not None and self._monitor is None:
            try:
                self._monitor = LinkMonitor(self._netlink.port_id)
            except OSError as error:
                log.warning(
                    "changes of interfaces are noticed late, each -syncinterval: %s", error.strerror
                )
                return
            poller.register(self._monitor.fileno(), select.EPOLLIN)

    def ensure(self, now: float) -> None:
        """Compare link and addresses with what is wanted, and repair them; again after a failure."""
        self.due_at = now + self._options.sync_seconds
        if self._interface is None:
            return
        is_first = not self._interface.index
        try:
            repairs = self._interface.ensure(self._wanted(now))
        except HostError as error:
            self._errors.add("interface_add" if is_first else "interface_check", str(error), now)
            self.due_at = now + self._retry_seconds
            self._retry_seconds = min(self._retry_seconds * 2, self._options.sync_seconds)
            return
        self._retry_seconds = RETRY_SECONDS
        if is_first:
            log.info("interface %s holds %s", self._options.interface, _texts(self._wanted(now)))
        elif repairs:
            self.link_repairs += repairs.link
            self.address_repairs += repairs.address
            log.info(
                "repaired interface %s: link %d, addresses %d",
                self._options.interface, repairs.link, repairs.address,
            )  # fmt: skip

    def read_changes(self, now: float) -> None:
        """Read what others changed; compare soon if it concerns the link or its addresses."""
        if self._monitor is not None and self._interface is not None:
            options = self._options
            if self._monitor.concerns(options.interface, self._interface.index, options.addresses):
                self.due_at = min(self.due_at, now + SETTLE_SECONDS)

    def renew(self, now: float) -> None:
        """Give the leased addresses a full lifetime again, unless they are withdrawn."""
        if self.is_held:
            self._lease_until = now + self._options.lease_seconds
            self.renewals += 1
            self._change(now, "renew", self._options.lease_seconds)

    def withdraw(self, now: float) -> None:
        """Remove the leased addresses, until `renew` is called with `is_held` set again."""
        self.is_held = False
        self._change(now, "withdraw", 0)

    def remove(self, now: float) -> None:
        """Delete the link with its addresses."""
        if self._interface is not None:
            try:
                self._interface.remove()
            except HostError as error:
                self._errors.add("interface_check", str(error), now)

    def answered_by_us_alone(self, now: float, *, has_rules: bool) -> tuple[Address, ...]:
        """The listen addresses at which only our own worker can answer.

        Without packet rules kube-proxy's carry a query to a Service address on, from this host too,
        and kube-dns would answer for the worker.
        """
        interface = self._interface
        if interface is not None and not interface.index:
            return ()
        elsewhere = interface.refused if interface is not None else ()
        has_all = has_rules and self._has_lease(now)
        return tuple(
            ip
            for ip in self._options.addresses
            if ip not in elsewhere and not ip.is_unspecified and (has_all or self._stays(ip))
        )

    def close_in_child(self) -> None:
        """After a fork, in the child: close the descriptors, change nothing on the host."""
        for part in (self._netlink, self._monitor):
            if part is not None:
                part.close()

    def _has_lease(self, now: float) -> bool:
        """Whether the leased addresses should be there; after a pause of ours they may be gone."""
        return self.is_held and (now < self._lease_until or not self._options.leased_addresses)

    def _stays(self, address: Address) -> bool:
        """Whether an address is there, and nobody else's, with any state of lease and rules."""
        return address.is_link_local and address in self._options.standing_addresses

    def _wanted(self, now: float) -> dict[Address, int]:
        """Address → lifetime in seconds, 0 for no end. A repair gives what is left of the lease."""
        wanted = dict.fromkeys(self._options.standing_addresses, 0)
        if self._has_lease(now):
            left = math.ceil(self._lease_until - now)
            wanted |= dict.fromkeys(self._options.leased_addresses, left)
        return wanted

    def _change(self, now: float, what: str, seconds: float) -> None:
        """Renew (`seconds` > 0) or remove the leased addresses."""
        leased = self._options.leased_addresses
        if self._interface is None or not leased or not self._interface.index:
            return
        try:
            if seconds:
                self._interface.renew(leased, seconds)
            else:
                self._interface.remove_addresses(leased)
        except HostError as error:
            self._errors.add("interface_check", f"{what}: {error}", now)
            self.due_at = now


def _texts(addresses: dict[Address, int]) -> str:
    return ", ".join(f"{ip}" + (f" for {left} s" if left else "") for ip, left in addresses.items())
