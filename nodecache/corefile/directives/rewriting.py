"""The `rewrite` directive: one reader for each kind of rule."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

from nodecache.corefile import values
from nodecache.corefile.mnemonics import rcode, rdclass, rdtype
from nodecache.corefile.reading import (
    Arguments,
    Context,
    Directive,
    Repeat,
    Statement,
)
from nodecache.corefile.rewriting import (
    AnswerRule,
    ClassRule,
    CnameRule,
    EdnsAction,
    EdnsLocalRule,
    EdnsNsidRule,
    EdnsRule,
    EdnsSubnetRule,
    Match,
    NameRule,
    RcodeRule,
    RewriteOptions,
    RewriteRule,
    TtlRule,
    TypeRule,
)

_MATCHES = values.one_of(*get_args(Match))
_MAX_TTL = 2**31 - 1
_MAX_UINT32 = 2**32 - 1
_MAX_RCODE = 23
_VARIABLES = (
    "{qname}",
    "{qtype}",
    "{client_ip}",
    "{client_port}",
    "{protocol}",
    "{server_ip}",
    "{server_port}",
)
_METADATA_LABEL = re.compile(r"\{[^{}/]+(/[^{}/]+)+\}")
_TTL_RANGE = re.compile(r"(?=-?[0-9])(?P<low>[0-9]{0,10})(?P<dash>-?)(?P<high>[0-9]{0,10})")
_GROUP = re.compile(r"\{([0-9]|[1-9][0-9]|100)\}")


def rewrite(statement: Statement, _: Context) -> RewriteOptions:
    """`rewrite [continue|stop] FIELD …`; or the same, or its end, as the lines of a block."""
    words = list(statement.words)
    if len(words) < 2:
        words += [word for line in statement.lines for word in line]
    arguments = Arguments(statement.name, words)
    continues = False
    if arguments.following.lower() in ("continue", "stop"):
        continues = arguments.take("mode", str).lower() == "continue"
    kind = arguments.take("field", values.one_of(*_KINDS))
    rule = _KINDS[kind](arguments)
    arguments.end()
    return RewriteOptions(rule, continues)


def _normal(word: str) -> str:
    """Absolute and lower-cased. Not checked: it may be a part of a name."""
    return word.lower() if word.endswith(".") else f"{word.lower()}."


def _match(arguments: Arguments, plain: int) -> str:
    """How to match: the first word, unless there are no more than `plain` words."""
    return arguments.take("match", _MATCHES) if len(arguments) > plain else "exact"


def _matched(arguments: Arguments, match: str) -> str:
    """What to match: a pattern or (a part of) a name."""
    return arguments.take("FROM", values.pattern if match == "regex" else _normal)


def _name(arguments: Arguments) -> NameRule:
    """`name [MATCH] FROM TO [answer auto|name RE TO|value RE TO]…`."""
    match = _match(arguments, plain=2)
    from_name = _matched(arguments, match)
    to_name = arguments.take("TO", _normal)
    if match == "regex":
        _check_groups(arguments, from_name, to_name)
    is_auto = False
    answers: list[AnswerRule] = []
    wants_answer = True
    while len(arguments):
        if wants_answer or arguments.following == "answer":
            arguments.take("word", values.one_of("answer"))
        wants_answer = False
        target = arguments.take("answer rule", values.one_of("auto", "name", "value"))
        if target != "auto" and _is_auto(arguments):
            target = arguments.take("word", str)
        if target == "auto":
            is_auto = True
        else:
            answers.append(_answer(arguments, target))
    if is_auto and any(answer.target == "name" for answer in answers):
        raise arguments.fault("answer auto cannot go with answer name")
    is_auto = is_auto or match == "exact"
    return NameRule(match, from_name, to_name, is_auto, tuple(answers))  # type: ignore[arg-type]


def _is_auto(arguments: Arguments) -> bool:
    """Whether `auto` follows where FROM would stand: so CoreDNS's README writes `answer auto`.

    CoreDNS itself takes that for a FROM, and the next word, if any, for its TO.
    """
    is_next = arguments.following == "auto"
    return is_next and arguments.after_following in ("", "answer", "name", "value", "auto")


def _answer(arguments: Arguments, target: Any) -> AnswerRule:
    from_pattern = arguments.take("answer pattern", values.pattern)
    if arguments.following == "answer":
        raise arguments.fault("answer TO is missing before the next 'answer'")
    to_name = arguments.take("answer TO", _normal)
    _check_groups(arguments, from_pattern, to_name)
    return AnswerRule(target, from_pattern, to_name)


def _check_groups(arguments: Arguments, from_pattern: str, to_name: str) -> None:
    if len(set(_GROUP.findall(to_name))) > values.groups(from_pattern):
        raise arguments.fault(f"{to_name!r} uses more groups than {from_pattern!r} has")


def _ttl(arguments: Arguments) -> TtlRule:
    """`ttl [MATCH] NAME SECONDS|LOWEST-HIGHEST|LOWEST-|-HIGHEST`."""
    match = _match(arguments, plain=2)
    name = _matched(arguments, match)
    lowest, highest = arguments.take("TTL", _ttl_range)
    return TtlRule(match, name, lowest, highest)  # type: ignore[arg-type]


def _ttl_range(word: str) -> tuple[int, int]:
    match = _TTL_RANGE.fullmatch(word)
    lowest, highest = (int(match["low"] or 0), int(match["high"] or _MAX_TTL)) if match else (1, 0)
    if match and not match["dash"]:
        highest = lowest
    if not lowest <= highest <= _MAX_UINT32:
        raise ValueError(f"must be SECONDS, LOWEST-, -HIGHEST or both, not {word!r}")
    return lowest, highest


def _rcode(arguments: Arguments) -> RcodeRule:
    """`rcode [MATCH] NAME FROM TO`."""
    match = _match(arguments, plain=3)
    name = _matched(arguments, match)
    codes = arguments.take("FROM", _rcode_or_number), arguments.take("TO", _rcode_or_number)
    return RcodeRule(match, name, *codes)  # type: ignore[arg-type]


def _rcode_or_number(word: str) -> int:
    try:
        return values.whole(0, _MAX_RCODE)(word)
    except ValueError:
        return rcode(word)


def _cname(arguments: Arguments) -> CnameRule:
    """`cname [MATCH] FROM TO`."""
    match = _match(arguments, plain=2)
    read = _normal if match == "exact" else str.lower
    from_name = arguments.take("FROM", _lowered_pattern if match == "regex" else read)
    return CnameRule(match, from_name, arguments.take("TO", read))  # type: ignore[arg-type]


def _lowered_pattern(word: str) -> str:
    """CoreDNS lowers the whole pattern, its character classes too."""
    return values.pattern(word.lower())


def _edns0(arguments: Arguments) -> RewriteRule:
    """`edns0 local|nsid|subnet set|replace|append|unset … [revert]`."""
    kind = arguments.take("kind", values.one_of(*_EDNS_KINDS))
    action: Any = arguments.take("action", values.one_of(*get_args(EdnsAction)))
    reverts = arguments.last == "revert" and action != "unset"
    if reverts:
        arguments.take_last("word", str)
    return replace(_EDNS_KINDS[kind](arguments, action), reverts=reverts)


def _edns_local(arguments: Arguments, action: EdnsAction) -> EdnsLocalRule:
    """`local ACTION CODE [DATA]`: text, `0x…` octets, or a `{variable}`."""
    code = arguments.take("code", _go_number(65535))
    if action == "unset":
        return EdnsLocalRule(action, code)
    word = arguments.take("data", str)
    if word.startswith("{") and word.endswith("}"):
        if word not in _VARIABLES and not _METADATA_LABEL.fullmatch(word):
            raise arguments.fault(f"no variable is named {word!r}")
        return EdnsLocalRule(action, code, variable=word)
    return EdnsLocalRule(action, code, data=_edns_data(arguments, word))


def _edns_data(arguments: Arguments, word: str) -> bytes:
    if not word.startswith("0x"):
        return word.encode()
    try:
        return bytes.fromhex(word[2:])
    except ValueError:
        raise arguments.fault(f"data must be pairs of hex digits after 0x, not {word!r}") from None


def _edns_subnet(arguments: Arguments, action: EdnsAction) -> EdnsSubnetRule:
    """`subnet ACTION [V4BITS V6BITS]`."""
    if action == "unset":
        return EdnsSubnetRule(action)
    ipv4_bits = arguments.take("IPv4 bits", _go_number(32))
    ipv6_bits = arguments.take("IPv6 bits", _go_number(128))
    return EdnsSubnetRule(action, ipv4_bits, ipv6_bits)


def _go_number(highest: int) -> Callable[[str], int]:
    """A number as Go writes it in source: decimal, `0x…`, `0o…`, `0b…`."""

    def read(word: str) -> int:
        try:
            number = int(word, 0)
        except ValueError:
            number = -1
        if not 0 <= number <= highest or not word[:1].isdigit():
            raise ValueError(f"must be a whole number up to {highest}, not {word!r}")
        return number

    return read


_EDNS_KINDS: dict[str, Callable[[Arguments, EdnsAction], EdnsRule]] = {
    "local": _edns_local,
    "nsid": lambda _, action: EdnsNsidRule(action),
    "subnet": _edns_subnet,
}
_KINDS: dict[str, Callable[[Arguments], RewriteRule]] = {
    "name": _name,
    "class": lambda a: ClassRule(a.take("FROM", rdclass), a.take("TO", rdclass)),
    "type": lambda a: TypeRule(a.take("FROM", rdtype), a.take("TO", rdtype)),
    "ttl": _ttl,
    "rcode": _rcode,
    "cname": _cname,
    "edns0": _edns0,
}

DIRECTIVES = {
    "rewrite": Directive("rewrites", rewrite, Repeat.EACH),
}
