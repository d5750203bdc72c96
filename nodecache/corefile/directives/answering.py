"""Directives that make or change answers: hosts, template, dns64, loadbalance, acl, any, minimal, whoami."""

import operator
from dataclasses import replace
from ipaddress import IPv6Network
from typing import Any

from nodecache.corefile import values
from nodecache.corefile.answering import (
    AclOptions,
    AclPolicy,
    Dns64Options,
    ExtendedErrorOptions,
    HostsOptions,
    LoadbalanceOptions,
    TemplateOptions,
)
from nodecache.corefile.lexer import Token
from nodecache.corefile.mnemonics import rcode, rdclass, rdtype
from nodecache.corefile.reading import (
    ITSELF,
    Arguments,
    Context,
    Directive,
    Fault,
    Fields,
    Option,
    Repeat,
    Statement,
    bare,
    flag,
    read_options,
    several,
    single,
    zones,
)


def _fallthrough(arguments: Arguments) -> Fields:
    """`fallthrough [ZONES…]`: without zones, for every name."""
    return {"fallthrough_zones": zones(arguments) or (".",)}


def hosts(statement: Statement, context: Context) -> HostsOptions:
    """`hosts [FILE [ZONES…]] { LINES…; options }`: a line that is no option is one of a hosts file."""
    arguments = statement.arguments
    fields: dict[str, Any] = {}
    if len(arguments):
        fields = {"file": arguments.take("file", str), "zones": zones(arguments)}
    inline: list[str] = []
    options: list[tuple[Token, ...]] = []
    for line in statement.lines:
        if line[0].text in _HOSTS or any(option[0].text == "fallthrough" for option in options):
            options.append(line)
        else:
            inline.append(_inline(line, context))
    statement = Statement(statement.name, statement.words, tuple(options))
    fields |= read_options(statement, _HOSTS, context)
    found = HostsOptions(inline=tuple(inline), **fields)
    if found.fallthrough_unsupported and not found.fallthrough_zones:
        raise Fault(statement.name, "fallthrough_unsupported needs fallthrough")
    return found


def _inline(line: tuple[Token, ...], context: Context) -> str:
    address = line[0]
    if not values.fits(values.ip, address.text.partition("%")[0]):
        meant = values.hint(address.text, _HOSTS)
        context.warn(
            address, f"{address.text!r} is neither an option nor an address: no effect{meant}"
        )
    return " ".join(word.text for word in line)


_HOSTS = {
    "fallthrough": Option(_fallthrough),
    "fallthrough_unsupported": flag("fallthrough_unsupported"),
    "no_reverse": replace(flag("has_reverse", value=False), is_lax=True),
    "ttl": replace(single("ttl", values.whole(1, 65535)), is_lax=True),
    "reload": single("reload_seconds", values.duration(0)),
}

_NO_EXPRESSIONS = (
    "nodecache does not have CoreDNS' expression language; match chooses by name, acl by client"
)


def template(statement: Statement, context: Context) -> TemplateOptions:
    """`template CLASS TYPE [ZONES…] { … }`."""
    arguments = statement.arguments
    return TemplateOptions(
        rdclass=arguments.take("class", rdclass),
        rdtype=arguments.take("type", rdtype),
        zones=zones(arguments),
        file=statement.name.file,
        line=statement.name.line,
        **read_options(statement, _TEMPLATE, context),
    )


def _ederror(arguments: Arguments) -> Fields:
    """`ederror CODE [TEXT]`."""
    code = arguments.take("code", values.whole(0, 65535))
    return {"ede": ExtendedErrorOptions(code, arguments.take_or("text", str, ""))}


def _expression(arguments: Arguments) -> Fields:
    """`var` and `expr`: a Corefile that needs them must not be served as if it had none."""
    raise arguments.fault(f"{ITSELF} is not supported: {_NO_EXPRESSIONS}")


def _upstream(arguments: Arguments) -> Fields:
    """`upstream …` has had no meaning for long, and is still taken."""
    arguments.rest("word", str)
    return {}


_TEMPLATE = {
    "match": several("patterns", values.pattern),
    "answer": several("answers", str),
    "additional": several("additionals", str),
    "authority": several("authorities", str),
    "var": Option(_expression),
    "expr": Option(_expression),
    "rcode": single("rcode", rcode),
    "ederror": Option(_ederror),
    "fallthrough": Option(_fallthrough),
    "upstream": Option(_upstream),
}


def dns64(statement: Statement, context: Context) -> Dns64Options:
    """`dns64 [PREFIX] { prefix PREFIX; translate_all; allow_ipv4 }`."""
    arguments = statement.arguments
    fields: dict[str, Any] = {}
    if len(arguments):
        fields["prefix"] = arguments.take("prefix", _dns64_prefix)
    arguments.end()
    return Dns64Options(**fields | read_options(statement, _DNS64, context))


def _dns64_prefix(word: str) -> IPv6Network:
    """RFC 6052 §2.2, and CoreDNS's bounds: 32 to 96 bits, in whole octets."""
    prefix = values.network(word)
    if not isinstance(prefix, IPv6Network) or prefix.prefixlen % 8 or prefix.prefixlen > 96:
        raise ValueError(f"must be an IPv6 network of 32, 40, … or 96 bits, not {word!r}")
    if prefix.prefixlen < 32:
        raise ValueError(f"must be an IPv6 network of at least 32 bits, not {word!r}")
    return prefix


_DNS64 = {
    "prefix": single("prefix", _dns64_prefix),
    "translate_all": flag("translate_all"),
    "allow_ipv4": flag("allow_ipv4"),
}


def loadbalance(statement: Statement, context: Context) -> LoadbalanceOptions:
    """`loadbalance [round_robin | weighted FILE { reload D }] { prefer CIDR… }`."""
    arguments = statement.arguments
    fields: dict[str, Any] = {}
    if len(arguments):
        fields["policy"] = arguments.take("policy", values.one_of("round_robin", "weighted"))
    is_weighted = fields.get("policy") == "weighted"
    if is_weighted:
        fields["weight_file"] = arguments.take("weight file", str)
    arguments.end()
    table = _LOADBALANCE | _WEIGHTED if is_weighted else _LOADBALANCE
    return LoadbalanceOptions(**fields | read_options(statement, table, context))


_LOADBALANCE = {
    "prefer": Option(lambda a: {"prefer": a.rest(ITSELF, values.network)}, operator.add)
}
_WEIGHTED = {"reload": single("reload_seconds", values.duration(0))}


def acl(statement: Statement, context: Context) -> AclOptions:
    """`acl [ZONES…] { allow|block|filter|drop [type TYPES…] [net NETWORKS…] }`."""
    policies: list[AclPolicy] = []
    for action, *words in statement.lines:
        try:
            policies.append(_policy(action, Arguments(action, words)))
        except Fault as fault:
            context.faults.append(fault)
    return AclOptions(zones=zones(statement.arguments), policies=tuple(policies))


def _policy(action: Token, arguments: Arguments) -> AclPolicy:
    sections: dict[str, list[Any]] = {}
    section = ""
    if action.text.lower() not in ("allow", "block", "filter", "drop"):
        raise Fault(action, f"must be allow, block, filter or drop, not {action.text!r}")
    while len(arguments):
        if not section or arguments.following.lower() in _ACL_SECTIONS:
            section = arguments.take("section", values.one_of(*_ACL_SECTIONS))
            sections.setdefault(section, []).append(arguments.take(section, _ACL_SECTIONS[section]))
        else:
            sections[section].append(arguments.take(section, _ACL_SECTIONS[section]))
    return AclPolicy(
        action=action.text.lower(),  # type: ignore[arg-type]
        rdtypes=frozenset(_unless_all(sections.get("type", []))),
        networks=tuple(_unless_all(sections.get("net", []))),
    )


def _unless_all(given: list[Any]) -> list[Any]:
    """Nothing, which is everything, where one of the values is `*` (None)."""
    return [] if None in given else given


def _acl_network(word: str) -> values.IpNetwork | None:
    """A network or a single address."""
    if word == "*":
        return None
    if "/" not in word:
        word += "/128" if ":" in word else "/32"
    return values.network(word)


_ACL_SECTIONS = {
    "type": lambda word: None if word == "*" else rdtype(word),
    "net": _acl_network,
}

DIRECTIVES = {
    "acl": Directive("acls", acl, Repeat.EACH),
    "any": Directive("any", bare, Repeat.FIRST),
    "dns64": Directive("dns64", dns64, Repeat.LAST),
    "loadbalance": Directive("loadbalance", loadbalance, Repeat.LAST),
    "minimal": Directive("minimal", bare, Repeat.FIRST),
    "template": Directive("templates", template, Repeat.EACH),
    "hosts": Directive("hosts", hosts),
    "whoami": Directive("whoami", bare, Repeat.FIRST),
}
