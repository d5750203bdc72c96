"""Clients' search lists, learned from how they ask: `search` and `ndots` of resolv.conf(5).

A client that looks up a name N asks for N.S1, after its denial for N.S2, and so on until one exists;
with ndots:5 the last is N itself. A client that did so for two names is expected to do the same
after the next denial of a name with the same ending, which is the last label of N and S1. The last
label is part of it because it decides where a search ends: `com` at N itself, a namespace at N.S2.

What a client asks is expected of that client only. Of other clients only suffixes of S1 are
expected, and only once two clients have asked for them: `svc.cluster.local`, `cluster.local` and the
root. So no client can have other clients' names asked in a domain that those do not search.

Names are in lower case, as on the wire; `sort` is the rest of a key: type, class, DO and CD.
"""

from typing import Final

from .recent import Recent
from .search_lists import (
    MAX_STEPS,
    MAX_TRUST,
    TRUSTED,
    LearnedList,
    Prediction,
    SharedList,
    is_plausible,
)

_ROOT: Final = b"\0"
# From the reply to the next step: resolvers ask it at once, but a busy pod may be slow.
_MAX_PAUSE_SECONDS: Final = 1.0
_MAX_SEARCHES: Final = 16  # of a client at once, by first label and sort
_MAX_LISTS: Final = 16  # of a client, by ending
_MAX_CLIENTS: Final = 256  # a node has 110 pods, on some clouds 250
_MAX_SHARED: Final = 512
_FORGOTTEN_SECONDS: Final = (
    600.0  # a client without queries for so long, at most twice that, is forgotten
)

_PAIRS_TRUSTED: Final = 3


class Search:
    """One name that a client looks up: the name of the first step, and the suffixes tried since.

    `name_size` is the size of N in octets, 0 until the second step is seen; `told_at` is when the client
    was sent the latest denial. `learned` is the list that it was expected to follow, if any.
    """

    __slots__ = ("first", "learned", "name_size", "suffixes", "told_at")

    def __init__(self, first: bytes, now: float) -> None:
        self.first = first
        self.name_size = 0
        self.suffixes: list[bytes] = []
        self.told_at = now
        self.learned: LearnedList | None = None

    def next_suffix(self, qname: bytes, asked_at: float) -> bytes:
        """The suffix of `qname` if it is the next step of this search, else b""."""
        if not 0 <= asked_at - self.told_at <= _MAX_PAUSE_SECONDS:
            return b""
        first = self.first
        size = self.name_size or _common_size(first, qname)
        if not size or not qname.startswith(first[:size]):
            return b""
        suffix = qname[size:]
        # A name asked as it is first, and with suffixes then, is mostly a mistyped one.
        is_new = suffix != first[size:] and suffix not in self.suffixes and first[size:] != _ROOT
        return suffix if is_new else b""

    def take(self, suffix: bytes, size: int, now: float) -> None:
        """Add the next step; N is `size` octets."""
        self.name_size = size
        if len(self.suffixes) <= MAX_STEPS:  # one more than a list may have: it is none then
            self.suffixes.append(suffix)
        self.told_at = now

    @property
    def name(self) -> bytes:
        """N, as on the wire but without the root."""
        return self.first[: self.name_size]

    @property
    def ending(self) -> bytes:
        """The last label of N, and S1."""
        at = 0
        while (following := at + 1 + self.first[at]) < self.name_size:
            at = following
        return self.first[at:]


class ClientSearches:
    """One client's searches under way, by first label and sort, and its lists, by ending.

    `pairs` counts names of which it asked for the second address after the answer for the first.
    """

    __slots__ = ("last_name", "last_sort", "last_told_at", "lists", "pairs", "searches")

    def __init__(self) -> None:
        self.searches: dict[bytes, Search] = {}
        self.lists: dict[bytes, LearnedList] = {}
        self.pairs = 0
        self.last_name = b""
        self.last_sort = b""
        self.last_told_at = 0.0

    def note_second_address(self, sort: bytes, asked_at: float) -> None:
        """A reply for the same name as before was sent: perhaps for its other address."""
        if sort != self.last_sort:
            pause = asked_at - self.last_told_at
            if pause < 0:
                self.pairs = 0  # it asks for both at once
            elif pause <= _MAX_PAUSE_SECONDS:
                self.pairs = min(self.pairs + 1, MAX_TRUST)

    def judge_pair(self, *, is_used: bool) -> None:
        """Note whether the client used the other address, which was asked ahead."""
        self.pairs = min(self.pairs + 1, MAX_TRUST) if is_used else 0

    def begin(self, search_key: bytes, search: Search) -> None:
        """Add a search whose first step was denied."""
        searches = self.searches
        searches.pop(search_key, None)
        if len(searches) >= _MAX_SEARCHES:
            del searches[next(iter(searches))]
        searches[search_key] = search

    def list_of(self, search: Search, following: tuple[bytes, ...]) -> LearnedList:
        """The list of the search's ending, with the suffixes of this finished search counted."""
        lists, ending, name = self.lists, search.ending, search.name
        learned = lists.get(ending)
        if learned is None:
            learned = LearnedList(following, name, 1)
            self.keep(ending, learned)
        else:
            learned.seen(following, name)
        return learned

    def keep(self, ending: bytes, learned: LearnedList) -> None:
        """Store a list for names with this ending."""
        lists = self.lists
        if len(lists) >= _MAX_LISTS:
            del lists[next(iter(lists))]
        lists[ending] = learned


class SearchPaths:
    """The searches of all clients, by their addresses, and the lists that clients share; bounded."""

    def __init__(self) -> None:
        self._clients: Recent[str, ClientSearches] = Recent(_MAX_CLIENTS, _FORGOTTEN_SECONDS)
        self._shared: Recent[bytes, SharedList] = Recent(_MAX_SHARED, _FORGOTTEN_SECONDS)
        self.has_pairs = False
        """Whether any client was ever seen to ask for one address after the other."""

    def known(self, host: str) -> ClientSearches | None:
        """The searches of a client; None if it was sent no denial lately."""
        return self._clients.get(host)

    def asks_in_pairs(self, host: str) -> bool:
        """Whether a client is expected to ask for the other address after the answer for one."""
        client = self._clients.get(host)
        return client is not None and client.pairs >= _PAIRS_TRUSTED

    def answered(self, host: str, qname: bytes, sort: bytes, asked_at: float, now: float) -> None:
        """A client is sent an answer: `qname` exists. The last step of a search, perhaps."""
        client = self._clients.get(host)
        if client is None:
            return
        self._note_told(client, qname, sort, asked_at, now)
        if client.searches:
            search_key = qname[: 1 + qname[0]] + sort
            search = client.searches.get(search_key)
            if search is not None and self._goes_on(search, qname, asked_at, now):
                del client.searches[search_key]
                self._finish(client, host, search, now)

    def denied(
        self, host: str, qname: bytes, sort: bytes, asked_at: float, now: float
    ) -> Prediction | None:
        """A client is sent NXDOMAIN for `qname`; returns what it is expected to ask now."""
        if qname == _ROOT:
            return None
        client = self._clients.get(host)
        if client is None:
            client = ClientSearches()
            self._clients.put(host, client, now)
        self._note_told(client, qname, sort, asked_at, now)
        search_key = qname[: 1 + qname[0]] + sort
        search = client.searches.get(search_key)
        if search is not None and self._goes_on(search, qname, asked_at, now):
            if search.suffixes[-1] == _ROOT:
                del client.searches[search_key]
                self._finish(client, host, search, now)
            return None
        search = Search(qname, now)
        client.begin(search_key, search)
        return self._prediction(client, search)

    def _note_told(
        self, client: ClientSearches, qname: bytes, sort: bytes, asked_at: float, now: float
    ) -> None:
        if qname == client.last_name:
            client.note_second_address(sort, asked_at)
            if client.pairs >= _PAIRS_TRUSTED:
                self.has_pairs = True
        client.last_name, client.last_sort, client.last_told_at = qname, sort, now

    def _goes_on(self, search: Search, qname: bytes, asked_at: float, now: float) -> bool:
        """Whether `qname` is the next step of the search, which is then added to it."""
        suffix = search.next_suffix(qname, asked_at)
        if not suffix:
            return False
        search.take(suffix, len(qname) - len(suffix), now)
        if search.learned is not None:
            search.learned.add(suffix)
        return True

    def _finish(self, client: ClientSearches, host: str, search: Search, now: float) -> None:
        """Learn from a search that is over: for this client, and perhaps for all."""
        following = tuple(search.suffixes)
        if search.learned is not None or not is_plausible(following):
            return  # a list that was expected is judged by the queries that were used
        learned = client.list_of(search, following)
        if not learned.is_trusted:
            return
        ending = search.ending
        first = ending[1 + ending[0] :]
        ancestors = tuple([each for each in learned.following if _is_within(first, each)])
        if ancestors:
            shared = self._shared.get(ending)
            if shared is None:
                self._shared.put(ending, SharedList(ancestors, host), now)
            else:
                shared.seen_at(ancestors, host)

    def _prediction(self, client: ClientSearches, search: Search) -> Prediction | None:
        """What is expected after the first step of `search`."""
        if not client.lists and not self._shared:
            return None  # no client was seen to search
        qname = search.first
        at = 0
        while qname[at]:
            ending = qname[at:]
            at += 1 + qname[at]
            learned = client.lists.get(ending)
            if learned is None:
                shared = self._shared.get(ending)
                if shared is None or not shared.is_trusted:
                    continue
                learned = LearnedList(shared.following, b"", TRUSTED)
                client.keep(ending, learned)
            if not learned.is_trusted:
                return None
            client.lists[ending] = client.lists.pop(ending)  # now the youngest
            search.learned = learned
            search.name_size = at
            return Prediction(learned, qname[:at])
        return None


def _common_size(one: bytes, other: bytes) -> int:
    """The octets of the labels with which both names begin."""
    at = 0
    while (size := one[at]) and one[at : at + 1 + size] == other[at : at + 1 + size]:
        at += 1 + size
    return at


def _is_within(name: bytes, ancestor: bytes) -> bool:
    """Whether `name` lies below `ancestor`."""
    while len(name) > len(ancestor):
        name = name[1 + name[0] :]
    return name == ancestor
