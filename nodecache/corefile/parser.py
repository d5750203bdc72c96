"""From a Corefile's text to a Corefile, or to every error in it."""

from collections.abc import Iterable, Mapping
from typing import Any

from .directives import DIRECTIVES, ELSEWHERE, Directive, Repeat
from .errors import CorefileError
from .lexer import Origin, Token
from .names import zone_keys
from .options import BindLine, BindOptions, Corefile, OwnOptions, ServerBlock, ZoneKey
from .reading import Context, Fault, Statement
from .stream import Glob, Read, Sources
from .structure import RawBlock, structure
from .values import hint


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
    errors = [fault.to_error() for fault in found.faults]
    warnings = [str(fault.to_error()) for fault in found.warnings]
    blocks = []
    for raw in found.blocks:
        block, wrong, odd = _block(raw, default_port)
        blocks.append(block)
        errors += wrong
        warnings += map(str, odd)
    errors += _overlaps(blocks)
    errors += _contradictions(blocks)
    if not blocks and not errors:
        place = origin(1) if origin is not None else (file, 1)
        errors = [CorefileError(*place, "there is no server block")]
    if errors:
        errors.sort(key=lambda error: (error.file, error.line))
        raise CorefileError.join(errors, imports)
    return Corefile(
        blocks=tuple(blocks),
        warnings=tuple(warnings),
        imports=imports,
        imported=tuple(found.imported.items()),
    )


def _block(
    raw: RawBlock, default_port: int
) -> tuple[ServerBlock, list[CorefileError], list[CorefileError]]:
    """A server block with the errors and the warnings of it."""
    errors: list[CorefileError] = []
    warnings: list[CorefileError] = []
    zones = tuple(_zones(raw.keys, default_port, errors))
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
        errors += (fault.to_error(name) for fault in context.faults)
        warnings += (warning.to_error(name) for warning in context.warnings)
    if not present:
        warnings.append(Fault(raw.keys[0], "has no directives: every query is refused").to_error())
    warnings += (
        Fault(key, f"nothing was put in the place of {key.text!r}").to_error()
        for key in raw.keys
        if "__PILLAR__" in key.text
    )
    block = ServerBlock(
        zones=zones,
        directives=tuple(name for name in DIRECTIVES if name in present),
        file=raw.keys[0].file,
        line=raw.keys[0].line,
        **fields,
    )
    return block, errors, warnings


def _zones(
    keys: Iterable[Token], default_port: int, errors: list[CorefileError]
) -> Iterable[ZoneKey]:
    for key in keys:
        try:
            yield from zone_keys(key.text, default_port)
        except ValueError as error:
            errors.append(Fault(key, f"the key of a server block {error}").to_error())


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


def _directive(name: Token) -> Directive:
    if name.text in DIRECTIVES:
        return DIRECTIVES[name.text]
    if name.text in ELSEWHERE:
        raise Fault(name, "a directive of CoreDNS that node-cache does not have either")
    raise Fault(name, f"there is no such directive{hint(name.text, DIRECTIVES)}")


# What blocks may not be to each other


def _overlaps(blocks: Iterable[ServerBlock]) -> Iterable[CorefileError]:
    """Each zone once at each address; nor once bound to an address and once to every one.

    Interfaces are compared by name here; what addresses they have is for whoever listens.
    """
    taken: dict[tuple[ZoneKey, str], ServerBlock] = {}
    bound: dict[ZoneKey, tuple[ServerBlock, str]] = {}
    for block in blocks:
        for key in block.zones:
            for address in _addresses(block):
                where = f" on {address}" if address else ""
                before = taken.get((key, address))
                if before is not None:
                    yield _clash(block, f"{key}{where}", before, "already served")
                    continue
                taken[key, address] = block
                other, at = bound.setdefault(key, (block, address))
                if bool(at) != bool(address):
                    yield _clash(block, f"{key}{where}", other, "served on overlapping addresses")


def _addresses(block: ServerBlock) -> tuple[str, ...]:
    if block.bind is None:
        return ("",)
    wanted = [
        address
        for line in block.bind.lines
        for address in line.addresses
        if address not in line.except_addresses
    ]
    return tuple(dict.fromkeys(wanted))


def _clash(block: ServerBlock, what: str, before: ServerBlock, how: str) -> CorefileError:
    where = f"{before.file}:{before.line}"
    return CorefileError(block.file, block.line, f"cannot serve {what}: it is {how} by {where}")


def _contradictions(blocks: Iterable[ServerBlock]) -> Iterable[CorefileError]:
    """What is of the whole process must be the same wherever it is said."""
    said: dict[str, tuple[int, ServerBlock]] = {}
    for block in blocks:
        for name in ("budget_octets", "max_waiting", "max_waiting_per_client"):
            value = getattr(block.nodecache, name)
            if value is None:
                continue
            other, before = said.setdefault(name, (value, block))
            if other != value:
                option = name.removesuffix("_octets").removesuffix("_per_client")
                yield CorefileError(
                    block.file,
                    block.line,
                    f"nodecache: {option} is of the whole process, "
                    f"and {before.file}:{before.line} has another",
                )


def own_options(corefile: Corefile) -> OwnOptions:
    """The `nodecache` directive of the block that says most about the process; else its defaults."""
    for block in corefile.blocks:
        if block.nodecache.budget_octets is not None or block.nodecache.max_waiting is not None:
            return block.nodecache
    return OwnOptions()
