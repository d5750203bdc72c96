"""From a base Corefile, with placeholders, and the ConfigMap kube-dns to the Corefile that is served.

The placeholders are node-cache's, and replaced as there: everywhere in the text. What it does by
the text's exact indentation is done here by the directives' structure.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .kubedns import NO_KUBE_DNS, KubeDns
from .lexer import Token, tokens, written
from .names import zone_keys
from .reading import Statement
from .stream import NO_SOURCES, Sources
from .structure import RawBlock, structure

_CLUSTER_DNS = "__PILLAR__CLUSTER__DNS__"
_UPSTREAM_SERVERS = "__PILLAR__UPSTREAM__SERVERS__"
_LOCAL_DNS = "__PILLAR__LOCAL__DNS__"
_DNS_SERVER = "__PILLAR__DNS__SERVER__"
_PROMETHEUS_ENDPOINT = "__PROMETHEUS__ENDPOINT__"
_NODE_RESOLVERS = "/etc/resolv.conf"
_FORCE_TCP = "force_tcp"
_STUB_TTL = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PillarValues:
    """What takes the place of the placeholders, and what stub domains are served with."""

    local_dns: tuple[str, ...] = ()
    cluster_dns: str | None = None
    """None where no address is known: then the base Corefile must not ask for one."""
    prometheus_endpoint: str = ":9253"
    dns_port: int = 53
    kube_dns: KubeDns = NO_KUBE_DNS


@dataclass(frozen=True, slots=True)
class Rendered:
    """A Corefile made of a base Corefile."""

    text: str
    base_lines: tuple[int, ...]
    """For each line of `text`, its number in the base Corefile; lines past these were added."""
    served_already: tuple[str, ...] = ()
    """Stub domains that the base Corefile has a block for; that one is served."""

    def base_line(self, line: int) -> int | None:
        """Where a line stands in the base Corefile; None for one of a stub domain."""
        return self.base_lines[line - 1] if 0 < line <= len(self.base_lines) else None


def render(
    base: str, values: PillarValues, sources: Sources = NO_SOURCES, file: str = "Corefile"
) -> Rendered:
    """Fill in the placeholders and add a server block for each stub domain.

    `sources` and `file` are as of `parse`: what stub domains are bound to may be a variable, or imported.
    """
    upstreams = values.kube_dns.upstream_nameservers
    lines = list(enumerate(base.split("\n"), start=1))
    if upstreams:
        lines = _over_udp(base)
    text = _filled_in("\n".join(line for _, line in lines), values)
    blocks = structure(text, file, sources).blocks if values.kube_dns.stub_domains else []
    stubs, served_already = _stub_blocks(blocks, values)
    return Rendered(text + stubs, tuple(number for number, _ in lines), served_already)


def _filled_in(text: str, values: PillarValues) -> str:
    upstreams = values.kube_dns.upstream_nameservers
    for placeholder, value in (
        (_UPSTREAM_SERVERS, " ".join(upstreams) or _NODE_RESOLVERS),
        (_CLUSTER_DNS, values.cluster_dns or ""),
        (_LOCAL_DNS, " ".join(values.local_dns)),
        (_DNS_SERVER, ""),
        (_PROMETHEUS_ENDPOINT, values.prometheus_endpoint),
    ):
        text = text.replace(placeholder, value)
    return text


def line_needing_cluster_dns(base: str) -> int | None:
    """The first line of a base Corefile, comments aside, that asks for the cluster DNS address."""
    return next((word.line for word in tokens(base, "") if _CLUSTER_DNS in word.text), None)


def _over_udp(base: str) -> list[tuple[int, str]]:
    """The lines without `force_tcp` for upstream servers: custom ones are asked over UDP."""
    lines = base.split("\n")
    gone: set[int] = set()
    for block in structure(base, "", NO_SOURCES).blocks:
        for statement in block.statements:
            if _asks_upstream_servers(statement, lines):
                gone |= _take_force_tcp(statement, lines)
    return [(number, line) for number, line in enumerate(lines, start=1) if number not in gone]


def _asks_upstream_servers(statement: Statement, lines: list[str]) -> bool:
    """Whether it is a `forward` with the placeholder, which is no argument of a snippet that others import."""
    return statement.name.text == "forward" and any(
        _UPSTREAM_SERVERS in word.text and _UPSTREAM_SERVERS in lines[word.line - 1]
        for word in statement.words[1:]
    )


def _take_force_tcp(statement: Statement, lines: list[str]) -> set[int]:
    """The numbers of the lines to leave out; a block that has nothing else goes as a whole.

    What the block imports stays: others may import it too.
    """
    if statement.end is None:
        return set()
    opening, closing = statement.words[-1].line, statement.end.line
    found = [line[0].line for line in statement.lines if line[0].text == _FORCE_TCP]
    over_tcp = [number for number in found if opening <= number <= closing]
    for number in over_tcp:  # which may hold other words: the brace before it, say
        lines[number - 1] = lines[number - 1].replace(_FORCE_TCP, "", 1).rstrip()
    emptied = {number for number in over_tcp if not lines[number - 1].strip()}
    if not over_tcp:
        return emptied
    head, _, *rest = lines[opening - 1].rpartition("{")
    rest += lines[opening : closing - 1]
    if "".join(rest).strip() or lines[closing - 1].strip() != "}":  # options, imports, comments
        return emptied
    lines[opening - 1] = head.rstrip()
    return set(range(opening + 1, closing + 1))


def _stub_blocks(blocks: list[RawBlock], values: PillarValues) -> tuple[str, tuple[str, ...]]:
    """A server block for each stub domain, bound and measured as the blocks of all names are.

    And the domains that have one where that would be bound.
    """
    like = _blocks_of(".", blocks, values.dns_port)
    bind = [line for block in like for line in _copied(block, "bind")]
    bound = {address for block in like for address in _addresses(block)}
    if not like and values.local_dns:
        bind, bound = [f"    bind {' '.join(values.local_dns)}\n"], {*values.local_dns}
    prometheus = [*_copied(like[0], "prometheus")] if like else []
    there = [block for block in blocks if _overlap(_addresses(block), bound)]
    served = tuple(
        domain
        for domain, _ in values.kube_dns.stub_domains
        if _blocks_of(f"{domain}.", there, values.dns_port)
    )
    text = "".join(
        f"\n{domain}:{values.dns_port} {{\n    errors\n    cache {_STUB_TTL}\n{''.join(bind)}"
        f"    forward . {' '.join(servers)}\n{''.join(prometheus)}}}\n"
        for domain, servers in values.kube_dns.stub_domains
        if domain not in served
    )
    return text, served


def _addresses(block: RawBlock) -> set[str]:
    """What a block is bound to; nothing where that is every address."""
    return {
        word.text
        for statement in block.statements
        if statement.name.text == "bind"
        for word in statement.words
    }


def _overlap(bound: set[str], others: set[str]) -> bool:
    """Whether two sets of addresses have one in common; an empty one has every address."""
    return not bound or not others or not bound.isdisjoint(others)


def _copied(block: RawBlock, name: str) -> Iterator[str]:
    """The lines of a block's directives of that name, with their options."""
    for statement in block.statements:
        if statement.name.text != name:
            continue
        yield f"    {_written((statement.name, *statement.words))}{' {' * bool(statement.lines)}\n"
        yield from (f"        {_written(line)}\n" for line in statement.lines)
        yield "    }\n" * bool(statement.lines)


def _written(words: Iterable[Token]) -> str:
    return " ".join(written(word.text) for word in words)


def _blocks_of(zone_name: str, blocks: list[RawBlock], port: int) -> list[RawBlock]:
    """The blocks that have a zone name among their keys."""
    return [block for block in blocks if any(_has(zone_name, key.text, port) for key in block.keys)]


def _has(zone_name: str, key: str, port: int) -> bool:
    """Whether a zone name at a port is among what the key of a block stands for."""
    with contextlib.suppress(ValueError):
        return any(
            (found.zone_name, found.port) == (zone_name, port) for found in zone_keys(key, port)
        )
    return False
