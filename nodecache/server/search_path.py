"""Clients' search lists, learned from how they ask: `search` and `ndots` of resolv.conf(5).

A client that looks for a name N asks for N.S1, after its denial for N.S2, and so on until one has an
answer, which with ndots:5 is N itself at the last. Who did so for two names is expected to go on
likewise after the next denial of a name with the same ending: the last label of N, before S1. The last
label is looked at because it tells where a walk ends: `com` at N itself, a namespace at N.S2.

What a client asks teaches what is expected of that client. Of others only suffixes that S1 itself ends
in are expected, and only once two clients have shown them: `svc.cluster.local`, `cluster.local` and the
root. So nobody can have other clients' names asked for in a domain that those do not search.

Names are in lower case, as on the wire; `sort` is the rest of a key: type, class, DO and CD.
"""

from typing import Final

from .recent import Recent
from .search_habits import (
    MAX_STEPS,
    MAX_TRUST,
    TRUSTED,
    Common,
    Expected,
    Habit,
    may_be_kept,
)

_ROOT: Final = b"\0"
# From the reply to the next step: resolvers ask it at once, but a busy pod may take its time.
_MAX_PAUSE_SECONDS: Final = 1.0
_MAX_WALKS: Final = 16  # of a client at once, by first label and sort
_MAX_HABITS: Final = 16  # of a client: endings of names that it looks for outside its namespace
_MAX_CLIENTS: Final = 256  # a node has 110 pods, on some clouds 250
_MAX_COMMON: Final = 512
_FORGOTTEN_SECONDS: Final = 600.0  # who asked nothing for so long, at most twice that, is unknown

_PAIRS_TRUSTED: Final = 3


class Walk:
    """One name being looked for: its first step, and the suffixes that were tried since.

    `name_size` is the octets of N, 0 until the second step tells; `told_at` is when the client heard
    of the latest denial. `habit` is what was expected of it, if anything.
    """

    __slots__ = ("first", "habit", "name_size", "suffixes", "told_at")

    def __init__(self, first: bytes, now: float) -> None:
        self.first = first
        self.name_size = 0
        self.suffixes: list[bytes] = []
        self.told_at = now
        self.habit: Habit | None = None

    def next_suffix(self, qname: bytes, asked_at: float) -> bytes:
        """The suffix that `qname` tries, where it is the next step of this walk; else nothing."""
        if not 0 <= asked_at - self.told_at <= _MAX_PAUSE_SECONDS:
            return b""
        first = self.first
        size = self.name_size or _common_size(first, qname)
        if not size or not qname.startswith(first[:size]):
            return b""
        suffix = qname[size:]
        # A name asked for as it is first, and with suffixes then, is mostly a mistyped one.
        is_new = suffix != first[size:] and suffix not in self.suffixes and first[size:] != _ROOT
        return suffix if is_new else b""

    def take(self, suffix: bytes, size: int, now: float) -> None:
        """The next step: N is `size` octets."""
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
        """What the walk is known by: the last label of N, and S1."""
        at = 0
        while (following := at + 1 + self.first[at]) < self.name_size:
            at = following
        return self.first[at:]


class ClientHabits:
    """What is known of one client.

    `pairs` counts names that it asked for both addresses of, the second once it had heard of the first.
    """

    __slots__ = ("habits", "last_name", "last_sort", "last_told_at", "pairs", "walks")

    def __init__(self) -> None:
        self.walks: dict[bytes, Walk] = {}
        self.habits: dict[bytes, Habit] = {}
        self.pairs = 0
        self.last_name = b""
        self.last_sort = b""
        self.last_told_at = 0.0

    def note_again(self, sort: bytes, asked_at: float) -> None:
        """It was told of the last name again: of its other address, perhaps."""
        if sort != self.last_sort:
            pause = asked_at - self.last_told_at
            if pause < 0:
                self.pairs = 0  # it asks for both at once, and needs no help
            elif pause <= _MAX_PAUSE_SECONDS:
                self.pairs = min(self.pairs + 1, MAX_TRUST)

    def judge_pair(self, *, is_used: bool) -> None:
        """The other address was asked for along with one: to some end, or in vain."""
        self.pairs = min(self.pairs + 1, MAX_TRUST) if is_used else 0

    def begin(self, walk_key: bytes, walk: Walk) -> None:
        """A name was denied that may be a first step."""
        walks = self.walks
        walks.pop(walk_key, None)
        if len(walks) >= _MAX_WALKS:
            del walks[next(iter(walks))]
        walks[walk_key] = walk

    def habit_of(self, walk: Walk, following: tuple[bytes, ...]) -> Habit:
        """The habit that a walk to its end is one more example of."""
        habits, ending, name = self.habits, walk.ending, walk.name
        habit = habits.get(ending)
        if habit is None:
            habit = Habit(following, name, 1)
            self.keep(ending, habit)
        else:
            habit.seen(following, name)
        return habit

    def keep(self, ending: bytes, habit: Habit) -> None:
        """Expect this after names with such an ending."""
        habits = self.habits
        if len(habits) >= _MAX_HABITS:
            del habits[next(iter(habits))]
        habits[ending] = habit


class SearchPaths:
    """What is expected of all clients, each known by its address; bounded, and forgotten in time."""

    def __init__(self) -> None:
        self._clients: Recent[str, ClientHabits] = Recent(_MAX_CLIENTS, _FORGOTTEN_SECONDS)
        self._common: Recent[bytes, Common] = Recent(_MAX_COMMON, _FORGOTTEN_SECONDS)
        self.has_pairs = False
        """Whether any client was ever known to ask for one address after the other."""

    def known(self, host: str) -> ClientHabits | None:
        """What is known of a client, if anything."""
        return self._clients.get(host)

    def asks_in_pairs(self, host: str) -> bool:
        """Whether a client that asks for one address asks for the other once it has heard."""
        client = self._clients.get(host)
        return client is not None and client.pairs >= _PAIRS_TRUSTED

    def answered(self, host: str, qname: bytes, sort: bytes, asked_at: float, now: float) -> None:
        """A client that was told of a denial before is told that a name exists."""
        client = self._clients.get(host)
        if client is None:
            return
        self._note_told(client, qname, sort, asked_at, now)
        if client.walks:
            walk_key = qname[: 1 + qname[0]] + sort
            walk = client.walks.get(walk_key)
            if walk is not None and self._goes_on(walk, qname, asked_at, now):
                del client.walks[walk_key]
                self._finish(client, host, walk, now)

    def denied(
        self, host: str, qname: bytes, sort: bytes, asked_at: float, now: float
    ) -> Expected | None:
        """A client was told that a name does not exist; what it is expected to ask for now."""
        if qname == _ROOT:
            return None
        client = self._clients.get(host)
        if client is None:
            client = ClientHabits()
            self._clients.put(host, client, now)
        self._note_told(client, qname, sort, asked_at, now)
        walk_key = qname[: 1 + qname[0]] + sort
        walk = client.walks.get(walk_key)
        if walk is not None and self._goes_on(walk, qname, asked_at, now):
            if walk.suffixes[-1] == _ROOT:
                del client.walks[walk_key]
                self._finish(client, host, walk, now)
            return None
        walk = Walk(qname, now)
        client.begin(walk_key, walk)
        return self._expected(client, walk)

    def _note_told(
        self, client: ClientHabits, qname: bytes, sort: bytes, asked_at: float, now: float
    ) -> None:
        if qname == client.last_name:
            client.note_again(sort, asked_at)
            if client.pairs >= _PAIRS_TRUSTED:
                self.has_pairs = True
        client.last_name, client.last_sort, client.last_told_at = qname, sort, now

    def _goes_on(self, walk: Walk, qname: bytes, asked_at: float, now: float) -> bool:
        """Take the walk's next step, where `qname` is that."""
        suffix = walk.next_suffix(qname, asked_at)
        if not suffix:
            return False
        walk.take(suffix, len(qname) - len(suffix), now)
        if walk.habit is not None:
            walk.habit.add(suffix)
        return True

    def _finish(self, client: ClientHabits, host: str, walk: Walk, now: float) -> None:
        """A walk has come to its end: that is what the client does, and perhaps what all do."""
        following = tuple(walk.suffixes)
        if walk.habit is not None or not may_be_kept(following):
            return  # what was expected is judged by what of it was used
        habit = client.habit_of(walk, following)
        if not habit.is_trusted:
            return
        ending = walk.ending
        first = ending[1 + ending[0] :]
        ancestors = tuple([each for each in habit.following if _is_within(first, each)])
        if ancestors:
            common = self._common.get(ending)
            if common is None:
                self._common.put(ending, Common(ancestors, host), now)
            else:
                common.told_by(ancestors, host)

    def _expected(self, client: ClientHabits, walk: Walk) -> Expected | None:
        """What is expected after the first step of `walk`."""
        if not client.habits and not self._common:
            return None  # nobody was seen to search
        qname = walk.first
        at = 0
        while qname[at]:
            ending = qname[at:]
            at += 1 + qname[at]
            habit = client.habits.get(ending)
            if habit is None:
                common = self._common.get(ending)
                if common is None or not common.is_trusted:
                    continue
                habit = Habit(common.following, b"", TRUSTED)
                client.keep(ending, habit)
            if not habit.is_trusted:
                return None
            client.habits[ending] = client.habits.pop(ending)  # the last to be forgotten
            walk.habit = habit
            walk.name_size = at
            return Expected(habit, qname[:at])
        return None


def _common_size(one: bytes, other: bytes) -> int:
    """The octets of the labels that two names begin with alike."""
    at = 0
    while (size := one[at]) and one[at : at + 1 + size] == other[at : at + 1 + size]:
        at += 1 + size
    return at


def _is_within(name: bytes, ancestor: bytes) -> bool:
    """Whether `name` lies below `ancestor`."""
    while len(name) > len(ancestor):
        name = name[1 + name[0] :]
    return name == ancestor
