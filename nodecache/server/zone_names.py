"""Zone names that directives are bound to."""

from collections.abc import Iterable

from nodecache.wire import wire_of

_ROOT = b"\0"


class ZoneNames:
    """Zone names that a directive is bound to; the longest match counts, as in CoreDNS."""

    __slots__ = ("_of_all", "_texts")

    def __init__(self, names: Iterable[str]) -> None:
        self._texts = {
            wire_of(name.lower()): f"{name.lower().removesuffix('.')}." for name in names
        }
        # What every name gets, where no other zone is named.
        self._of_all = "." if self._texts.keys() == {_ROOT} else None

    def __bool__(self) -> bool:
        return bool(self._texts)

    def match(self, qname: bytes) -> str | None:
        """The zone that `qname` (in lower case, on the wire) is in, or None."""
        if self._of_all is not None:
            return self._of_all
        texts = self._texts
        while True:
            text = texts.get(qname)
            if text is not None or len(qname) == 1:
                return text
            qname = qname[qname[0] + 1 :]
