"""Learned search lists: the suffixes that are expected after a first one, and how far that is trusted."""

from typing import Final

from nodecache.wire import MAX_NAME_SIZE

MAX_STEPS: Final = 8  # glibc accepted six suffixes for decades
MAX_TRUST: Final = 8
_MAX_SUFFIX_OCTETS: Final = 320  # of a list: bounds the memory that clients can use
TRUSTED: Final = 2  # names with the same suffixes, before a list is used
_PENALTY: Final = 4  # one search that ended early outweighs several that did not
_CLIENTS_TRUSTED: Final = 2


class LearnedList:
    """The suffixes that follow a first one, for names with one ending.

    `trust` grows with each further name that was searched so; `last_name` is the latest, so that one name
    asked again and again does not count twice.
    """

    __slots__ = ("following", "last_name", "trust")

    def __init__(self, following: tuple[bytes, ...], last_name: bytes, trust: int) -> None:
        self.following = following
        self.last_name = last_name
        self.trust = trust

    @property
    def is_trusted(self) -> bool:
        """Whether it is used."""
        return self.trust >= TRUSTED

    def seen(self, following: tuple[bytes, ...], name: bytes) -> None:
        """Count a finished search: its suffixes, without those answered from the cache."""
        if not _is_part_of(following, self.following):
            self.following = following
            self.trust = 1
        elif name != self.last_name:
            self.trust = min(self.trust + 1, MAX_TRUST)
        self.last_name = name

    def add(self, suffix: bytes) -> None:
        """Insert one more suffix that a client tried, before the last, which is N itself."""
        if suffix not in self.following and is_plausible((*self.following, suffix)):
            self.following = (*self.following[:-1], suffix, *self.following[-1:])

    def judge(self, unused: tuple[bytes, ...]) -> None:
        """Adjust the trust after a search: the client did not ask for `unused` suffixes."""
        if not unused:
            self.trust = min(self.trust + 1, MAX_TRUST)
            return
        self.trust = max(self.trust - _PENALTY, 0)
        self.following = tuple([each for each in self.following if each not in unused])
        if not self.following:
            self.trust = 0


class Prediction:
    """Names that a client is expected to ask next, in that order."""

    __slots__ = ("_size", "learned", "names")

    def __init__(self, learned: LearnedList, name: bytes) -> None:
        self.learned = learned
        self.names = tuple(
            [
                name + suffix
                for suffix in learned.following
                if len(name) + len(suffix) <= MAX_NAME_SIZE
            ]
        )
        self._size = len(name)

    def judge(self, unused: list[bytes]) -> None:
        """Adjust the list's trust: the client did not ask for these names."""
        self.learned.judge(tuple([name[self._size :] for name in unused]))


class SharedList:
    """A list that several clients follow for names with one ending: suffixes of the first one."""

    __slots__ = ("clients", "following")

    def __init__(self, following: tuple[bytes, ...], host: str) -> None:
        self.following = following
        self.clients = [host]

    def seen_at(self, following: tuple[bytes, ...], host: str) -> None:
        """Count a client that follows this list; another list replaces it."""
        if following != self.following:
            self.following, self.clients = following, [host]
        elif host not in self.clients and len(self.clients) < _CLIENTS_TRUSTED:
            self.clients.append(host)

    @property
    def is_trusted(self) -> bool:
        """Whether it is used for clients that were not seen yet."""
        return len(self.clients) >= _CLIENTS_TRUSTED


def _is_part_of(some: tuple[bytes, ...], all_of_them: tuple[bytes, ...]) -> bool:
    """Whether `some` are among `all_of_them`, in the same order."""
    at = 0
    for each in all_of_them:
        if at < len(some) and some[at] == each:
            at += 1
    return at == len(some)


def is_plausible(following: tuple[bytes, ...]) -> bool:
    """Whether a list is as short as real ones are."""
    return len(following) <= MAX_STEPS and sum(map(len, following)) <= _MAX_SUFFIX_OCTETS
