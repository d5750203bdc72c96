"""Texts rewritten by `rewrite`: names of questions, owners and data, in their written form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nodecache.corefile.rewriting import AnswerRule, Match, NameRule
from nodecache.server.patterns import Pattern, replaced
from nodecache.server.records import Record, name_end
from nodecache.wire import Rdtype, text_of, wire_of
from nodecache.wire.rdata import name_offsets

Matches = Callable[[str], bool]
Rewrite = Callable[[str], str | None]
"""A name (absolute, in lower case) → what becomes of it, or None where the rule is not for it."""

# The types whose first name is what `answer value` rewrites.
_VALUE_TYPES = frozenset((
    Rdtype.SRV, Rdtype.MX, Rdtype.CNAME, Rdtype.NS, Rdtype.DNAME, Rdtype.NAPTR, Rdtype.SOA, Rdtype.PTR,
))  # fmt: skip


class ResponseRule:
    """A change to an answer."""

    def change(self, record: Record) -> None:
        """Change `record` in place; some rules change no records."""


def matcher(match: Match, name: str) -> Matches:
    """Whether a qname fits."""
    if match == "regex":
        return Pattern(name).found_in
    return {
        "exact": lambda qname: qname == name,
        "prefix": lambda qname: qname.startswith(name),
        "suffix": lambda qname: qname.endswith(name),
        "substring": lambda qname: name in qname,
    }[match]


def rewriter(match: Match, from_name: str, to_name: str) -> Rewrite:
    """How a name is rewritten."""
    if match == "regex":
        pattern = Pattern(from_name)
        return lambda name: replaced(pattern, to_name, name)
    fits = matcher(match, from_name)
    rewrite: Callable[[str], str] = {
        "exact": lambda _: to_name,
        "prefix": lambda name: to_name + name[len(from_name) :],
        "suffix": lambda name: name[: len(name) - len(from_name)] + to_name,
        "substring": lambda name: name.replace(from_name, to_name),
    }[match]
    return lambda name: rewrite(name) if fits(name) else None


@dataclass(frozen=True, slots=True)
class OwnerRule(ResponseRule):
    """Rewrites the owner names of an answer."""

    rewrite: Rewrite

    def change(self, record: Record) -> None:
        """Rewrite the owner, where the rule is for it."""
        record.owner = _rewritten(record.owner, self.rewrite)


@dataclass(frozen=True, slots=True)
class ValueRule(ResponseRule):
    """Rewrites the name that a record's data points at."""

    rewrite: Rewrite

    def change(self, record: Record) -> None:
        """Rewrite the first name of the data, where it has one and the rule is for it."""
        if record.rdtype in _VALUE_TYPES:
            start, _ = name_offsets(record.rdata, record.rdtype, 0, len(record.rdata))
            end = name_end(record.rdata, start)
            name = _rewritten(record.rdata[start:end], self.rewrite)
            record.rdata = record.rdata[:start] + name + record.rdata[end:]


def _rewritten(name: bytes, rewrite: Rewrite) -> bytes:
    """`name` rewritten; unchanged if the rule does not match, or the result is not a name."""
    text = rewrite(text_of(name.lower()))
    if text is None:
        return name
    try:
        return wire_of(text)
    except ValueError:
        return name


class NameRewrite:
    """A `name` rule: what becomes of a question, and of the names in its answer."""

    def __init__(self, rule: NameRule) -> None:
        self._rewrite = rewriter(rule.match, rule.from_name, rule.to_name)
        self._is_auto = rule.is_auto
        self._by_suffix = rule.is_auto and rule.match == "suffix"
        self._answers = [_answer_rule(each) for each in rule.answers]
        if self._by_suffix:
            back = rewriter("suffix", rule.to_name, rule.from_name)
            self._answers = [OwnerRule(back), ValueRule(back), *self._answers]

    def apply(self, qname: str) -> tuple[str, Sequence[ResponseRule]] | None:
        """The new name and what to do to the answer; None where the rule is not for `qname`."""
        to_name = self._rewrite(qname)
        if to_name is None:
            return None
        if not self._is_auto or self._by_suffix:
            return to_name, self._answers
        back = _reversed_rewrite(to_name, qname)
        return to_name, [OwnerRule(back), ValueRule(back), *self._answers]


def _answer_rule(rule: AnswerRule) -> OwnerRule | ValueRule:
    rewrite = rewriter("regex", rule.pattern, rule.to)
    return OwnerRule(rewrite) if rule.target == "name" else ValueRule(rewrite)


def _reversed_rewrite(to_name: str, qname: str) -> Rewrite:
    """`to_name` and names below it become `qname` and names below that."""

    def rewrite(name: str) -> str | None:
        if name == to_name:
            return qname
        if name.endswith(f".{to_name}"):
            return name[: len(name) - len(to_name)] + qname
        return None

    return rewrite
