"""What is expected of clients after the first step of a search list, and how far that is trusted."""

from typing import Final

from nodecache.wire import MAX_NAME_SIZE

MAX_STEPS: Final = 8  # glibc took six suffixes for decades; more are none of the kubelet's
MAX_TRUST: Final = 8
_MAX_SUFFIX_OCTETS: Final = 320  # of a list: what clients can make us remember has an end
TRUSTED: Final = 2  # names that were looked for likewise
_DISAPPOINTMENT: Final = 4  # one walk that ended early weighs more than those that did not
_TELLERS_TRUSTED: Final = 2


class Habit:
    """The suffixes that follow a first one, for names with one ending.

    `trust` grows with each name that was looked for likewise; `last_name` is the latest, so that one
    asked for again and again proves nothing.
    """

    __slots__ = ("following", "last_name", "trust")

    def __init__(self, following: tuple[bytes, ...], last_name: bytes, trust: int) -> None:
        self.following = following
        self.last_name = last_name
        self.trust = trust

    @property
    def is_trusted(self) -> bool:
        """Whether clients are expected to do so again."""
        return self.trust >= TRUSTED

    def seen(self, following: tuple[bytes, ...], name: bytes) -> None:
        """A name was looked for: with these suffixes, less those that the cache had."""
        if not _is_part_of(following, self.following):
            self.following = following
            self.trust = 1
        elif name != self.last_name:
            self.trust = min(self.trust + 1, MAX_TRUST)
        self.last_name = name

    def add(self, suffix: bytes) -> None:
        """A client took one more step than was expected of it: before the last, which is N itself."""
        if suffix not in self.following and may_be_kept((*self.following, suffix)):
            self.following = (*self.following[:-1], suffix, *self.following[-1:])

    def judge(self, unused: tuple[bytes, ...]) -> None:
        """A walk is over; the steps to these suffixes were expected and not taken."""
        if not unused:
            self.trust = min(self.trust + 1, MAX_TRUST)
            return
        self.trust = max(self.trust - _DISAPPOINTMENT, 0)
        self.following = tuple([each for each in self.following if each not in unused])
        if not self.following:
            self.trust = 0


class Expected:
    """Names that a client is expected to ask for next, in that order."""

    __slots__ = ("_size", "habit", "names")

    def __init__(self, habit: Habit, name: bytes) -> None:
        self.habit = habit
        self.names = tuple(
            [
                name + suffix
                for suffix in habit.following
                if len(name) + len(suffix) <= MAX_NAME_SIZE
            ]
        )
        self._size = len(name)

    def judge(self, unused: list[bytes]) -> None:
        """The walk is over; these of the names were asked for in vain."""
        self.habit.judge(tuple([name[self._size :] for name in unused]))


class Common:
    """What several clients do after names with one ending: suffixes that the first one ends in."""

    __slots__ = ("following", "tellers")

    def __init__(self, following: tuple[bytes, ...], host: str) -> None:
        self.following = following
        self.tellers = [host]

    def told_by(self, following: tuple[bytes, ...], host: str) -> None:
        """Another client does something after such names."""
        if following != self.following:
            self.following, self.tellers = following, [host]
        elif host not in self.tellers and len(self.tellers) < _TELLERS_TRUSTED:
            self.tellers.append(host)

    @property
    def is_trusted(self) -> bool:
        """Whether it is expected of clients that were not seen yet."""
        return len(self.tellers) >= _TELLERS_TRUSTED


def _is_part_of(some: tuple[bytes, ...], all_of_them: tuple[bytes, ...]) -> bool:
    """Whether `some` are among the others, in the same order."""
    at = 0
    for each in all_of_them:
        if at < len(some) and some[at] == each:
            at += 1
    return at == len(some)


def may_be_kept(following: tuple[bytes, ...]) -> bool:
    """Whether a list is none longer than clients have in earnest."""
    return len(following) <= MAX_STEPS and sum(map(len, following)) <= _MAX_SUFFIX_OCTETS
