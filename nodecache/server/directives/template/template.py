"""`template`: answers made from the question."""

import logging
from collections.abc import Iterator, Sequence
from enum import Enum

from nodecache.corefile import TemplateOptions
from nodecache.forward import Failure
from nodecache.server.directive import AskServer, Client, Result, Steps, refusal
from nodecache.server.directives.counts import DirectiveCounts, Labels
from nodecache.server.mnemonics import label_of
from nodecache.server.patterns import Pattern
from nodecache.server.record_text import record_of
from nodecache.server.records import Record, Sections, rebuilt, reply_of, sections_of
from nodecache.server.requery import with_question
from nodecache.server.zone_names import ZoneNames
from nodecache.wire import (
    CLASS_IN,
    Answer,
    ExtendedErrors,
    Flag,
    MalformedMessage,
    Query,
    Rcode,
    Rdtype,
    text_of,
)

from .data import FUNCTIONS, template_data
from .gotemplate import Struct, Template
from .gotemplate_lexer import TemplateError

log = logging.getLogger("plugin/template")

_ANY = 255
_ADDRESSES = (Rdtype.A, Rdtype.AAAA)


class _Verdict(Enum):
    """What one template says of a query without answering it."""

    PASSES = "another template may have it"
    MISSES = "it should have matched, and did not"


class _Template:
    """One `template` of a block, ready to be asked; TemplateError where a line of it is no template."""

    def __init__(self, options: TemplateOptions, block_zones: Sequence[str]) -> None:
        self.options = options
        self.zones = ZoneNames(options.zones or block_zones)
        self.fall = ZoneNames(options.fallthrough_zones)
        self.patterns = [Pattern(text) for text in options.patterns]
        self.lines = [
            (section, Template(text, FUNCTIONS))
            for section, texts in (
                ("answer", options.answers),
                ("additional", options.additionals),
                ("authority", options.authorities),
            )
            for text in texts
        ]
        ede = options.ede
        self.ede: ExtendedErrors = () if ede is None else ((ede.code, ede.text.encode()),)

    def match(self, query: Query, client: Client) -> Struct | _Verdict:
        """The data to fill in, or the verdict without an answer."""
        zone = self.zones.match(query.qname)
        own = (self.options.rdclass, self.options.rdtype)
        if zone is None or not _takes(own[0], query.rdclass) or not _takes(own[1], query.qtype):
            return _Verdict.PASSES
        qname = text_of(query.qname)
        for pattern in self.patterns:
            groups = pattern.groups_in(qname)
            if groups is not None:
                return template_data(query, client, zone, pattern=pattern, groups=groups, own=own)
        is_passed = self.fall.match(query.qname) is not None
        return _Verdict.PASSES if is_passed else _Verdict.MISSES


def _takes(own: int, asked: int) -> bool:
    return own == asked or _ANY in (own, asked)


class Templates:
    """A block's templates: the first that matches answers.

    A name in a template's zones that none of its patterns fits is SERVFAIL, unless it falls through.
    """

    name = "template"

    def __init__(
        self,
        options: Sequence[TemplateOptions],
        block_zones: Sequence[str],
        counts: DirectiveCounts,
    ) -> None:
        self._templates = [_Template(each, block_zones) for each in options]
        self._counts = counts

    def serve(self, query: Query, client: Client) -> Steps | Result | None:
        """What the templates make of a query."""
        for template in self._templates:
            match = template.match(query, client)
            if isinstance(match, Struct):
                return self._answer(template, match, query, client)
            if match is _Verdict.MISSES:
                return refusal(Rcode.SERVFAIL, "no pattern of the template fits the name")
        return None

    def _answer(
        self, template: _Template, data: Struct, query: Query, client: Client
    ) -> Steps | Result:
        labels = _labels(data, client)
        self._counts.template_matches[labels] += 1
        rcode = template.options.rcode
        if rcode == Rcode.SERVFAIL:
            return refusal(Rcode.SERVFAIL, "the template says so")
        sections = Sections()
        by_name = {"answer": sections.answer, "additional": sections.additional}
        for section, line in template.lines:
            record = self._record(section, line, data, labels)
            if isinstance(record, Failure):
                return record
            by_name.get(section, sections.authority).append(record)
        try:
            answer = reply_of(query, sections, rcode, written_by=self.name, ede=template.ede)
        except MalformedMessage as error:
            return _failed(f"template: {error}")
        targets = list(_targets(query, sections.answer))
        return _with_targets(query, answer, targets) if targets else answer

    def _record(
        self, section: str, line: Template, data: Struct, labels: Labels
    ) -> Record | Failure:
        """Fill in one line and read it as a record."""
        labels = (*labels, section, line.text)
        try:
            text = line.filled(data)
        except TemplateError as error:
            self._counts.template_failures[labels] += 1
            return _failed(f"template: {section}: {error}")
        try:
            return record_of(text)
        except ValueError as error:
            self._counts.template_rr_failures[labels] += 1
            return _failed(f"dns: {section}: {error}")


def _labels(data: Struct, client: Client) -> Labels:
    zone, rdclass, rdtype = (str(data.fields[name]) for name in ("Zone", "Class", "Type"))
    return (client.server, zone, "", label_of(rdclass), label_of(rdtype))


def _failed(reason: str) -> Failure:
    return refusal(Rcode.SERVFAIL, "a template could not be filled in", reason)


def _targets(query: Query, answer: Sequence[Record]) -> Iterator[tuple[int, bytes]]:
    """Where aliases point that an address was asked through, with their places in the answer."""
    if query.qtype in _ADDRESSES:
        for place, record in enumerate(answer):
            if record.rdtype == Rdtype.CNAME:
                yield place, record.rdata


def _with_targets(query: Query, answer: Answer, targets: Sequence[tuple[int, bytes]]) -> Steps:
    """Put behind each alias what the server itself says of its target."""
    sections = sections_of(answer)
    is_truncated = False
    for place, target in reversed(targets):
        found = yield AskServer(with_question(query, target, query.qtype, CLASS_IN))
        if isinstance(found, Answer):
            is_truncated = is_truncated or found.is_truncated
            sections.answer[place + 1 : place + 1] = sections_of(found).answer
    flags = answer.flags | (Flag.TC if is_truncated else 0)
    return rebuilt(answer, answer.question, sections, flags)
