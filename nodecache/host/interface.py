"""The link that holds the listen addresses: ensured, compared, leased, removed.

The link's alias (`ip link` shows it) lists the addresses that we added. By it a later agent
tells our leftovers from addresses that somebody else added, on any kernel.
"""

import errno
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from .netlink import Link, LinkAddress, Netlink
from .options import Address, HostError, HostOptions
from .privileges import NET_ADMIN_IS_MISSING

log = logging.getLogger(__name__)

ALIAS_MARK = "nodecache"
MAX_ALIAS = 255  # IFALIASZ (linux/if.h) less the closing NUL

# What the kernel means, in an operator's words, and the way round.
_MEANINGS = {
    errno.EPERM: NET_ADMIN_IS_MISSING,
    errno.EOPNOTSUPP: "this kernel has no interfaces of kind {kind}: choose another with -interfacekind",
    errno.EACCES: "IPv6 is switched off for it (sysctl net.ipv6.conf.*.disable_ipv6)",
}


@dataclass(slots=True)
class Repairs:
    """How many things one comparison had to put back."""

    link: int = 0
    address: int = 0

    def __bool__(self) -> bool:
        return bool(self.link or self.address)


class Interface:
    """The link and its addresses. Methods may raise HostError; its text is one line."""

    def __init__(self, options: HostOptions, netlink: Netlink) -> None:
        self._options = options
        self._netlink = netlink
        self._told: set[str] = set()
        self.index = 0
        self.former: tuple[Address, ...] = ()  # in the alias that an earlier agent left
        self.refused: set[Address] = set()  # held by somebody else: not fought over
        self._removed: set[Address] = set()  # of the former ones

    def check(self) -> None:
        """Raise HostError if a link of that name is not ours to change; change nothing."""
        try:
            link = self._netlink.link(self._options.interface)
            if link is not None:
                self._refuse_foreign(link)
        except OSError as error:
            raise self._error(error) from None

    @property
    def is_away(self) -> bool:
        """Whether there is no link of that name; False if that cannot be found out."""
        try:
            return self._netlink.link(self._options.interface) is None
        except OSError:
            return False

    def ensure(self, wanted: dict[Address, int]) -> Repairs:
        """Make link and addresses as wanted (address → lifetime in seconds, 0 = for ever).

        An address that is there keeps its lifetime, unless it has an end and should not or the
        other way round; `renew` extends it. Returns what was put back.
        """
        repairs = Repairs()
        try:
            link = self._ensure_link(repairs)
            held = self._netlink.addresses(index=link.index)
            self._remove_former(link, held)
            self._add_missing(held, wanted, repairs)
        except OSError as error:
            raise self._error(error) from None
        return repairs

    def renew(self, addresses: tuple[Address, ...], seconds: float) -> None:
        """Give `addresses` a new lifetime; add those that are gone."""
        lifetimes = dict.fromkeys(addresses, math.ceil(seconds))
        for address in self.refused:
            lifetimes.pop(address, None)
        try:
            self._put(lifetimes)
        except OSError as error:
            raise self._error(error) from None

    def remove_addresses(self, addresses: tuple[Address, ...]) -> None:
        """Remove `addresses` from our link; those that are gone already are ignored."""
        try:
            for address in addresses:
                if address not in self.refused:
                    self._netlink.delete_address(self.index, address, address.max_prefixlen)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise self._error(error) from None

    def remove(self) -> None:
        """Delete the link with its addresses, if it is ours.

        If an agent with other addresses has taken it over, only those are removed that it does not have.
        """
        try:
            link = self._netlink.link(self._options.interface)
            if link is None or not _is_ours(link, self._options.interface_kind):
                return
            ours, listed = set(self._options.addresses), set(_listed(link.alias))
            if not listed or listed == ours:
                self._netlink.delete_link(link.index)
                return
            for address in ours - listed:
                self._netlink.delete_address(link.index, address, address.max_prefixlen)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise self._error(error) from None

    def _ensure_link(self, repairs: Repairs) -> Link:
        options = self._options
        link = self._netlink.link(options.interface)
        if link is None:
            repairs.link += 1
            self._netlink.add_link(options.interface, options.interface_kind, self._alias())
            link = self._netlink.link(options.interface)
            if link is None:
                raise OSError(errno.ENODEV, "was deleted as soon as it was made")
        elif link.index != self.index:
            self._take_over(link)
            repairs.link += not link.is_up
        elif not link.is_up:
            repairs.link += 1
            self._netlink.set_link(link.index, self._alias())
        self.index = link.index
        return link

    def _take_over(self, link: Link) -> None:
        """Take over a link of an earlier agent, or of node-local-dns."""
        self._refuse_foreign(link)
        self.former = _listed(link.alias)
        self._netlink.set_link(link.index, self._alias())

    def _refuse_foreign(self, link: Link) -> None:
        """Raise HostError for a link that neither we nor the original can have made."""
        options = self._options
        elsewhere = "remove it, choose another name with -interfacename, or -setupinterface=false"
        if link.kind != options.interface_kind:
            raise HostError(
                f"interface {link.name} is there already, of kind {link.kind or 'physical'} where"
                f" {options.interface_kind} was asked for: {elsewhere}"
            )
        if link.alias and not _is_ours(link, options.interface_kind):
            raise HostError(
                f"interface {link.name} is there already, as {link.alias!r}: {elsewhere}"
            )
        foreign = [held for held in self._netlink.addresses(index=link.index) if _is_foreign(held)]
        if foreign and not link.alias:
            texts = ", ".join(f"{held.address}/{held.prefix_size}" for held in foreign)
            raise HostError(f"interface {link.name} is there already, with {texts}: {elsewhere}")

    def _remove_former(self, link: Link, held: list[LinkAddress]) -> None:
        """Remove unwanted addresses that an earlier agent added; warn once of those of others.

        Each once: if one comes back, that agent lives, until a next one with other addresses is ready.
        """
        unwanted = [one for one in held if one.address not in self._options.addresses]
        for one in unwanted:
            if one.address in self.former and one.address not in self._removed:
                log.info("removing %s from %s: no longer wanted", one.address, link.name)
                self._netlink.delete_address(link.index, one.address, one.prefix_size)
                self._removed.add(one.address)
            elif not one.address.is_link_local or one.address.version == 4:
                self._tell(f"{one.address} on {link.name} is not ours and is left alone")

    def _add_missing(
        self, held: list[LinkAddress], wanted: dict[Address, int], repairs: Repairs
    ) -> None:
        ends = {one.address: one.valid_seconds is not None for one in held}
        missing = {
            address: seconds
            for address, seconds in wanted.items()
            if ends.get(address) != bool(seconds)
            and (address in ends or not self._is_held_elsewhere(address))
        }
        repairs.address += len(missing)
        self._put(missing)

    def _put(self, lifetimes: dict[Address, int]) -> None:
        """Add or renew each address; the first failure is raised after all were tried."""
        refusal: OSError | None = None
        for address, seconds in lifetimes.items():
            try:
                self._netlink.put_address(self.index, address, seconds)
            except OSError as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal

    def _is_held_elsewhere(self, address: Address) -> bool:
        holders = [
            held
            for held in self._netlink.addresses(among=(address,))
            if held.address == address and held.index != self.index
        ]
        if holders:
            self.refused.add(address)
            self._tell(
                f"{address} is held by another interface (index {holders[0].index}), as in IPVS mode"
                " or by a second agent: not added, and its queries are not taken here"
            )
        else:
            self.refused.discard(address)
        return bool(holders)

    def _alias(self) -> str:
        texts = [ALIAS_MARK, *(str(address) for address in self._options.addresses)]
        alias = " ".join(texts)
        return alias if len(alias) <= MAX_ALIAS else ALIAS_MARK

    def _tell(self, fact: str) -> None:
        """Log a warning, once in the life of this process."""
        if fact not in self._told:
            self._told.add(fact)
            log.warning("%s", fact)

    def _error(self, error: OSError) -> HostError:
        name, kind = self._options.interface, self._options.interface_kind
        meaning = _MEANINGS.get(error.errno or 0, "{error}").format(
            kind=kind, error=(error.strerror or str(error)).lower()
        )
        return HostError(f"interface {name}: {meaning}; -setupinterface=false leaves it alone")


def opened(make_netlink: Callable[[], Netlink]) -> Netlink:
    """The kernel's side of an interface. Raises HostError."""
    try:
        return make_netlink()
    except ImportError as error:
        raise HostError(f"{error}; -setupinterface=false does without it") from None
    except OSError as error:
        raise HostError(
            f"routing netlink: {error.strerror}; -setupinterface=false does without it"
        ) from None


def _is_ours(link: Link, kind: str) -> bool:
    """Whether we made the link (the alias says so), or node-local-dns did: the right kind and no alias."""
    return link.kind == kind and (not link.alias or link.alias.split()[0] == ALIAS_MARK)


def _listed(alias: str) -> tuple[Address, ...]:
    """The addresses an alias of ours lists; none for any other alias."""
    words = alias.split()
    if not words or words[0] != ALIAS_MARK:
        return ()
    try:
        return tuple(ip_address(word) for word in words[1:])
    except ValueError:
        return ()


def _is_foreign(held: LinkAddress) -> bool:
    """Whether neither node-local-dns nor we would add this: it is a network, not a single address."""
    if held.address.is_link_local and held.address.version == 6:
        return False  # the kernel's own, from the link's MAC address
    return held.prefix_size != held.address.max_prefixlen
