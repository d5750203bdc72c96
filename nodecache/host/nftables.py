"""The rules as one nftables table of our own, replaced whole in one transaction.

`nft -f -` applies its input completely or not at all and takes no xtables lock. Accepting is not
done here: an accept in our table would not overrule a drop in another one (see foreign.py).
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .commands import Command, Job, Steps
from .nft_script import TABLE, Contents, left_script, pods_script, remove_script, table_script
from .options import HostOptions, of_version
from .pods import PodList
from .rules import FailOpen

log = logging.getLogger(__name__)

NFT = "nft"
NOT_THE_HOSTS = {TABLE, "ip kube-proxy", "ip6 kube-proxy"}  # tables: ours and kube-proxy's
_PUT_ATTEMPTS = 3  # another nft may list it in another way: then two in a row are the same
_LIST = Command((NFT, "-j", "list", "table", *TABLE.split()))


class RulesError(Exception):
    """The packet rules could not be brought to the wanted state; tried again later.

    `errortype` is the label under which it is counted: "iptables" or "iptables_lock".
    """

    def __init__(self, text: str, errortype: str = "iptables") -> None:
        super().__init__(text)
        self.errortype = errortype


@dataclass(frozen=True, slots=True)
class Listing:
    """Our table in the output of `nft -j list table`. `shape` leaves out counters, handles and timed elements."""

    shape: str
    contents: Contents


def read_listing(text: str) -> Listing | None:
    """The table that nft listed; None if there is none, or the text is no listing."""
    try:
        entries = [entry for entry in json.loads(text)["nftables"] if "metainfo" not in entry]
        counters = [entry["counter"] for entry in entries if "counter" in entry]
        contents = Contents({counter["name"]: int(counter["packets"]) for counter in counters})
        for entry in entries:
            timed = entry.get("set") or entry.get("map") or {}
            if "timeout" in timed.get("flags", ()):
                contents.elements[timed["name"]] = _elements(timed.pop("elem", ()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return Listing(json.dumps([_shape(entry) for entry in entries]), contents)


def nft_entries(text: str | None, kind: str) -> Iterator[dict[str, Any]]:
    """The entries of one kind (`table`, `chain`, `rule`, `set`) in what `nft -j` prints."""
    try:
        entries = json.loads(text or "")["nftables"]
    except (ValueError, KeyError, TypeError):
        return
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get(kind), dict):
            yield entry[kind]


def _elements(listed: Any) -> list[str]:
    """The elements of a set or map with timeouts, in nft's syntax; none if nft lists them in an unknown form."""
    try:
        return [_element(element) for element in listed]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _element(element: Any) -> str:
    """An element with the rest of its timeout, in nft's syntax."""
    key, value = element if isinstance(element, list) else (element, None)
    timed = key["elem"]
    text = f"{_words(timed['val'])} timeout {max(1, int(timed['expires']))}s"
    return text if value is None else f"{text} : {_words(value)}"


def _words(value: Any) -> str:
    parts = value["concat"] if isinstance(value, dict) else [value]
    return " . ".join(str(part) for part in parts)


def _shape(entry: Any) -> Any:
    if isinstance(entry, dict):
        changing = ("handle", "packets", "bytes")
        return {key: _shape(value) for key, value in entry.items() if key not in changing}
    return [_shape(one) for one in entry] if isinstance(entry, list) else entry


class NftTable:
    """Our table. Its jobs raise RulesError."""

    def __init__(self, options: HostOptions, fail_open: FailOpen) -> None:
        self._options = options
        self.fail_open = fail_open
        self._shape = ""  # our table as nft told it right after we had put it there
        self._pods = PodList()
        self.packets: dict[str, int] = {}
        self.repairs = 0

    def ensure(self, now: float) -> Job:
        """Replace the table if it is missing or was changed; read its counters."""
        listing = read_listing((yield _LIST).stdout)
        if listing is not None and listing.shape == self._shape:
            self.packets.update(listing.contents.packets)
            return
        if self._shape:
            self.repairs += 1
            log.info("putting back table %s: it was changed or removed", TABLE)
        # Connections that go elsewhere, and the pods that an earlier agent found, are kept.
        elements = listing.contents.elements if listing is not None else {}
        if not self._shape:
            elements |= self._answering()
        contents = Contents(self.packets, elements | self._pods.as_elements(now))
        yield from self._put(table_script(self._options, self.fail_open, contents))

    def _put(self, script: str) -> Job:
        """Replace the table, and learn its shape, unless somebody else changed it before it was listed."""
        for _ in range(_PUT_ATTEMPTS):
            applied = yield Command((NFT, "-f", "-"), stdin=script)
            if not applied.is_ok:
                raise RulesError(f"nft: {applied.reason}; -rules iptables or none does without it")
            known, listing = self._shape, read_listing((yield _LIST).stdout)
            self._shape = listing.shape if listing is not None else ""
            if known in ("", self._shape):
                return

    def set_pods(self, pods: PodList, now: float) -> Job:
        """Have the kernel send to these pods; if our table is not there yet, later with it."""
        self._pods = pods
        elements = pods.as_elements(now)
        if self._shape and elements:
            applied = yield Command((NFT, "-f", "-"), stdin=pods_script(elements))
            if not applied.is_ok:
                raise RulesError(f"nft: kube-dns pods: {applied.reason}")

    def _answering(self) -> dict[str, list[str]]:
        """All addresses as answering: the table is first made when a worker answers, before any probe."""
        return {
            f"answering{version}": [str(ip) for ip in of_version(self._options.addresses, version)]
            for version in (4, 6)
        }

    def stop_intercepting(self, now: float) -> Job:
        """Match queries to sockets without a mark no more; packets of those under way are not changed."""
        elements = yield from self._kept(now)
        elements = {name: kept for name, kept in elements.items() if name not in self._answering()}
        contents = Contents(self.packets, elements)
        script = table_script(self._options, self.fail_open, contents, is_draining=True)
        yield from self._replace(script)

    def leave_fallbacks(self, now: float) -> Job:
        """Keep only the fallbacks: the kernel sends queries to the pods until that expires."""
        contents = Contents({}, (yield from self._kept(now)))
        yield from self._replace(left_script(self._options, self.fail_open, contents))

    def remove(self) -> Job:
        """Delete the table; one that is gone is fine."""
        yield from self._replace(remove_script())

    def _kept(self, now: float) -> Steps[dict[str, list[str]]]:
        """The timed elements in our table, and the pods that we know."""
        listing = read_listing((yield _LIST).stdout)
        elements = listing.contents.elements if listing is not None else {}
        return elements | self._pods.as_elements(now)

    def _replace(self, script: str) -> Job:
        self._shape = ""
        applied = yield Command((NFT, "-f", "-"), stdin=script)
        if not applied.is_ok:
            raise RulesError(f"nft: {applied.reason}")
