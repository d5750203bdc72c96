"""From a Corefile's text to a Corefile, or to every error in it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .conflicts import conflicts, warnings, without_doubles
from .directives import DIRECTIVES, ELSEWHERE
from .errors import CorefileError
from .lexer import Origin, Token
from .names import UnservedKey, zone_keys
from .options import (
    OF_THE_PROCESS,
    BindLine,
    BindOptions,
    Corefile,
    OwnOptions,
    ServerBlock,
    ZoneKey,
)
from .reading import Context, Directive, Fault, Repeat, Statement
from .stream import Glob, Read, Sources
from .structure import RawBlock, structure
from .values import hint

# What manifests leave to be filled in: `__PILLAR__DNS__DOMAIN__`, `${DOMAIN}`, `$(DOMAIN)`, `<IP>`.
_PLACEHOLDER = re.compile(r"__[A-Z][A-Z0-9_]*__|\$\{\w+\}|\$\(\w+\)|^<[\w -]+>$")


def parse(
    text: str,
    file: str,
    *,
    env: Mapping[str, str],
    default_port: int = 53,
    read: Read | None = None,
    glob: Glob | None = None,
    origin: Origin | None = None,
) -> Corefile:
    """Read a Corefile. `file` is its name in messages, and the place that imports start from.

    `env` fills in `{$NAME}`; `default_port` is for keys without a port. `read(path)` gives a
    file's text for imports (OSError, ValueError: it cannot be read) and `glob(pattern)` the paths
    that match; without them an import of a file is an error. `origin` is for text that was made
    from other files: it tells messages where a line came from. Raises CorefileError with all errors.
    """
    found = structure(text, file, Sources(env, read, glob, origin))
    imports = tuple(dict.fromkeys(found.imports))
    told = _Findings(errors=[fault.to_error() for fault in found.faults])
    told.warnings = [fault.to_error() for fault in found.warnings]
    blocks = [block for raw in found.blocks if (block := _block(raw, default_port, told))]
    blocks = without_doubles(blocks, told.left_out)
    told.errors += conflicts(blocks)
    told.warnings += warnings(blocks)
    if not blocks and not told.errors:
        place = origin(1) if origin is not None else (file, 1)
        told.errors = told.left_out or [CorefileError(*place, "there is no server block")]
    if told.errors:
        told.errors.sort(key=lambda error: (error.file, error.line))
        raise CorefileError.join(told.errors, imports)
    return Corefile(
        blocks=tuple(blocks),
        warnings=tuple(map(str, told.warnings)),
        unfilled=tuple(map(str, told.unfilled)),
        left_out=tuple(map(str, told.left_out)),
        imports=imports,
        imported=tuple(found.imported.items()),
    )


@dataclass(slots=True)
class _Findings:
    """Errors and warnings about a Corefile."""

    errors: list[CorefileError] = field(default_factory=list)
    warnings: list[CorefileError] = field(default_factory=list)
    unfilled: list[CorefileError] = field(default_factory=list)
    left_out: list[CorefileError] = field(default_factory=list)


def _block(raw: RawBlock, default_port: int, told: _Findings) -> ServerBlock | None:
    """A server block; None where nothing of it can be served, but other blocks can."""
    before = len(told.errors)
    zones = tuple(_zones(raw.keys, default_port, told))
    if not zones and len(told.errors) == before:
        return None
    fields: dict[str, Any] = {}
    present: set[str] = set()
    for statement in raw.statements:
        name = statement.name.text
        context = Context()
        try:
            _apply(fields, statement, context, is_again=name in present)
            present.add(name)
        except Fault as fault:
            context.faults.append(fault)
        told.errors += (fault.to_error(name) for fault in context.faults)
        told.warnings += (warning.to_error(name) for warning in context.warnings)
        told.left_out += (fault.to_error(name) for fault in context.left_out)
    if not present:
        reason = "has no directives: every query is refused"
        told.warnings.append(Fault(raw.keys[0], reason).to_error())
    told.warnings += (
        Fault(
            word, f"single quotes are a part of the word, {word.text}: double ones are not"
        ).to_error()
        for word in _words(raw)
        if word.text.startswith("'")
    )
    told.unfilled += (
        Fault(word, f"nothing was put in the place of {word.text!r}").to_error()
        for word in _words(raw)
        if _PLACEHOLDER.search(word.text)
    )
    return ServerBlock(
        zones=zones,
        directives=tuple(name for name in DIRECTIVES if name in present),
        file=raw.keys[0].file,
        line=raw.keys[0].line,
        **fields,
    )


def _words(raw: RawBlock) -> Iterator[Token]:
    """Every word of a block."""
    yield from raw.keys
    for statement in raw.statements:
        yield from statement.words
        for line in statement.lines:
            yield from line


def _zones(keys: Iterable[Token], default_port: int, told: _Findings) -> Iterator[ZoneKey]:
    for key in keys:
        if not key.text.isascii():
            reason = f"clients ask for names such as {key.text!r} as xn--…: this is not what they ask for"
            told.warnings.append(Fault(key, reason).to_error())
        try:
            yield from zone_keys(key.text, default_port)
        except UnservedKey as error:
            fault = Fault(key, f"left out: the key of a server block {error}")
            told.left_out.append(fault.to_error())
        except ValueError as error:
            told.errors.append(Fault(key, f"the key of a server block {error}").to_error())


def _apply(
    fields: dict[str, Any], statement: Statement, context: Context, *, is_again: bool
) -> None:
    """Read one directive into its field of the block."""
    directive = _directive(statement.name)
    if is_again and directive.repeat is Repeat.NEVER:
        raise Fault(statement.name, directive.repeat.value)
    options = directive.read(statement, context)
    name = directive.field
    if isinstance(options, BindLine):
        before = fields[name].lines if name in fields else ()
        fields[name] = BindOptions(lines=(*before, options))
    elif directive.repeat is Repeat.EACH:
        fields[name] = (*fields.get(name, ()), options)
    elif not (is_again and directive.repeat is Repeat.FIRST):
        fields[name] = options


# What other servers, plugins from elsewhere and older CoreDNS call it.
_ELSEWHERE_SAID = {
    "proxy": "it is 'forward' since CoreDNS 1.5",
    "alternate": "'next' or 'failover' in 'forward' does that",
    "fallback": "'next' or 'failover' in 'forward' does that",
    "fanout": "'forward' asks a second upstream where the first is slow",
    "federation": "it went with CoreDNS 1.7",
    "startup": "it went with CoreDNS 1.5",
    "shutdown": "it went with CoreDNS 1.5",
}


def _directive(name: Token) -> Directive:
    if name.text in DIRECTIVES:
        return DIRECTIVES[name.text]
    if name.text in ELSEWHERE:
        raise Fault(name, "a directive of CoreDNS that node-cache does not have either")
    known = _ELSEWHERE_SAID.get(name.text)
    meant = f"; {known}" if known else hint(name.text, DIRECTIVES)
    raise Fault(name, f"there is no such directive{meant}")


def own_options(corefile: Corefile) -> OwnOptions:
    """What the `nodecache` directives say about the process, whichever block says it; else the defaults."""
    said = {
        name: value
        for block in corefile.blocks
        for name in OF_THE_PROCESS
        if (value := getattr(block.nodecache, name)) is not None
    }
    return OwnOptions(**said)
