"""`rewrite`: changes the question, and reverts that in the answer.

A rule that applies changes the question, or adds a change to the answer, or both. The changes to the
answer are made in the reverse order of the rules, and in the end it has the client's own question.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from nodecache.corefile.rewriting import (
    ClassRule,
    CnameRule,
    NameRule,
    RcodeRule,
    RewriteOptions,
    RewriteRule,
    TtlRule,
    TypeRule,
)
from nodecache.forward import Failure
from nodecache.server.directive import AskNext, AskServer, Client, Result, Steps, refusal
from nodecache.server.records import Record, message, reply_of, sections_of
from nodecache.server.requery import with_question
from nodecache.wire import CLASS_IN, Answer, Flag, Query, Rcode, Rdtype, text_of, wire_of

from .edns import apply_edns
from .names import Matches, NameRewrite, ResponseRule, Rewrite, matcher, rewriter


@dataclass(frozen=True, slots=True)
class TtlChange(ResponseRule):
    """Brings TTLs into a range of seconds."""

    lowest: int
    highest: int

    def change(self, record: Record) -> None:
        """Raise or lower the record's TTL into the range."""
        record.ttl = min(max(record.ttl, self.lowest), self.highest)


@dataclass(frozen=True, slots=True)
class RcodeChange(ResponseRule):
    """Says another rcode in place of one."""

    from_rcode: int
    to_rcode: int


@dataclass(frozen=True, slots=True)
class TargetChange(ResponseRule):
    """Points aliases elsewhere, and resolves that instead."""

    rewrite: Rewrite

    def target_of(self, record: Record) -> bytes | None:
        """Where `record` is to point now; None where it is no alias the rule is for."""
        if record.rdtype != Rdtype.CNAME:
            return None
        text = self.rewrite(text_of(record.rdata.lower()))
        try:
            return None if text is None else wire_of(text)
        except ValueError:
            return None


@dataclass(slots=True)
class _Rewritten:
    """A query as the rules changed it, and the changes for its answer."""

    query: Query
    rules: list[ResponseRule] = field(default_factory=list)
    invalid_name: str = ""


class _Rule:
    """One `rewrite` of a block."""

    def __init__(self, options: RewriteOptions) -> None:
        self.continues = options.continues
        self._rule: RewriteRule = options.rule
        self._name: NameRewrite | None = None
        self._matches: Matches | None = None
        self._change: ResponseRule | None = None
        self._prepare(options.rule)

    def _prepare(self, rule: RewriteRule) -> None:
        """Compile what can be compiled."""
        if isinstance(rule, NameRule):
            self._name = NameRewrite(rule)
        elif isinstance(rule, TtlRule):
            self._matches = matcher(rule.match, rule.name)
            self._change = TtlChange(rule.lowest, rule.highest)
        elif isinstance(rule, RcodeRule):
            self._matches = matcher(rule.match, rule.name)
            self._change = RcodeChange(rule.from_rcode, rule.to_rcode)
        elif isinstance(rule, CnameRule):
            self._change = TargetChange(rewriter(rule.match, rule.from_name, rule.to_name))

    def apply(self, state: _Rewritten, client: Client) -> bool:
        """Do what the rule says to `state`; False where it is not for this query."""
        rule, query = self._rule, state.query
        if self._name is not None:
            return _rename(self._name, state)
        if self._change is not None:
            if self._matches is None or self._matches(text_of(query.qname)):
                state.rules.append(self._change)
                return True
            return False
        if isinstance(rule, ClassRule):
            changed = rule.from_class == query.rdclass
            state.query = with_question(query, rdclass=rule.to_class) if changed else query
        elif isinstance(rule, TypeRule):
            changed = rule.from_type == query.qtype
            state.query = with_question(query, rdtype=rule.to_type) if changed else query
        else:
            sent = apply_edns(rule, query, client)  # type: ignore[arg-type]  # the kinds left
            changed = sent is not None
            state.query = sent or query
        return changed


def _rename(rule: NameRewrite, state: _Rewritten) -> bool:
    applied = rule.apply(text_of(state.query.qname))
    if applied is None:
        return False
    name, rules = applied
    try:
        state.query = with_question(state.query, wire_of(name))
    except ValueError:
        state.invalid_name = name
    state.rules += rules
    return True


class Rewriting:
    """A block's rewrites: applied in order, until one that applies does not say `continue`."""

    name = "rewrite"

    def __init__(self, options: Sequence[RewriteOptions]) -> None:
        self._rules = [_Rule(each) for each in options]

    def serve(self, query: Query, client: Client) -> Steps | Result | None:
        """Ask what the rules make of `query`."""
        state = _Rewritten(query)
        for rule in self._rules:
            if rule.apply(state, client):
                if state.invalid_name:
                    reason = f"invalid name after rewrite: {state.invalid_name}"
                    return refusal(Rcode.SERVFAIL, "the rewritten name is none", reason)
                if not rule.continues:
                    break
        if state.query is query and not state.rules:
            return None
        return _asked(query, state)


def _asked(query: Query, state: _Rewritten) -> Steps:
    result = yield AskNext(state.query)
    if isinstance(result, Answer):
        return (yield from _restored(query, state, result))
    if isinstance(result, Failure):
        rcode = _rcode(result.rcode, state.rules)
        if rcode != result.rcode:
            # Without RA, glibc takes an empty NOERROR for a lame server's (resolv/res_send.c).
            return reply_of(query, rcode=rcode, written_by=Rewriting.name, flags=Flag.RA)
    return result


def _restored(query: Query, state: _Rewritten, answer: Answer) -> Steps:
    """`answer` with the client's question and all changes of the rules."""
    sections = sections_of(answer)
    flags = answer.flags
    rules = list(reversed(state.rules))
    for record in sections.authority:
        _change(record, rules)
    for record in list(sections.answer):
        for rule in rules:
            rule.change(record)
            target = rule.target_of(record) if isinstance(rule, TargetChange) else None
            if target is not None:
                wanted = with_question(state.query, target, rdclass=CLASS_IN)
                found = yield AskServer(wanted)
                sections.answer = _redirected(sections.answer, record, target, found)
                if isinstance(found, Answer):
                    flags = flags & ~Flag.TC | (Flag.TC if found.is_truncated else 0)
    for record in sections.additional:
        _change(record, rules)
    return message(
        query.question,
        flags,
        sections,
        _rcode(answer.rcode, state.rules),
        written_by=answer.written_by,
        ede=answer.ede,
    )


def _change(record: Record, rules: Sequence[ResponseRule]) -> None:
    for rule in rules:
        rule.change(record)


def _rcode(rcode: int, rules: Sequence[ResponseRule]) -> int:
    for rule in reversed(rules):
        if isinstance(rule, RcodeChange) and rule.from_rcode == rcode:
            rcode = rule.to_rcode
    return rcode


def _redirected(
    answer: Sequence[Record], alias: Record, target: bytes, found: Result
) -> list[Record]:
    """The aliases up to `alias`, which points at `target` now, and what was found there."""
    kept = []
    for record in answer:
        if record.rdtype == Rdtype.CNAME:
            kept.append(record)
        if record is alias:
            record.rdata = target
            break
    return [*kept, *(sections_of(found).answer if isinstance(found, Answer) else ())]
