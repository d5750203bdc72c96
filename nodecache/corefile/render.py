"""From a base Corefile, with placeholders, and the ConfigMap kube-dns to the Corefile that is served.

The placeholders are node-cache's, and replaced as there: everywhere in the text. What it does by
the text's exact indentation is done here by the directives' structure.
"""

from dataclasses import dataclass

from .kubedns import NO_KUBE_DNS, KubeDns
from .lexer import tokens
from .names import zone_keys
from .reading import Statement
from .stream import Sources
from .structure import RawBlock, structure

_CLUSTER_DNS = "__PILLAR__CLUSTER__DNS__"
_UPSTREAM_SERVERS = "__PILLAR__UPSTREAM__SERVERS__"
_LOCAL_DNS = "__PILLAR__LOCAL__DNS__"
_DNS_SERVER = "__PILLAR__DNS__SERVER__"
_PROMETHEUS_ENDPOINT = "__PROMETHEUS__ENDPOINT__"
_NODE_RESOLVERS = "/etc/resolv.conf"
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


def render(base: str, values: PillarValues) -> Rendered:
    """Fill in the placeholders and add a server block for each stub domain."""
    upstreams = values.kube_dns.upstream_nameservers
    lines = list(enumerate(base.split("\n"), start=1))
    if upstreams:
        lines = _over_udp(base)
    text = _filled_in("\n".join(line for _, line in lines), values)
    stubs, served_already = _stub_blocks(text, values)
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
    for block in _blocks(base):
        for statement in block.statements:
            if _is_upstream_over_tcp(statement):
                gone |= _take_force_tcp(statement, lines)
    return [(number, line) for number, line in enumerate(lines, start=1) if number not in gone]


def _blocks(text: str) -> list[RawBlock]:
    return structure(text, "", Sources(env={})).blocks


def _is_upstream_over_tcp(statement: Statement) -> bool:
    return statement.name.text == "forward" and any(
        _UPSTREAM_SERVERS in word.text for word in statement.words[1:]
    )


def _take_force_tcp(statement: Statement, lines: list[str]) -> set[int]:
    """The numbers of the lines to leave out; a block that has nothing else goes as a whole."""
    over_tcp = [line for line in statement.lines if line[0].text == "force_tcp"]
    if not over_tcp:
        return set()
    if len(over_tcp) < len(statement.lines):
        return {line[0].line for line in over_tcp}
    assert statement.end is not None
    opening, closing = statement.words[-1].line, statement.end.line
    head, _, rest = lines[opening - 1].rpartition("{")
    if rest.strip() or lines[closing - 1].strip() != "}":  # comments: the empty block stays
        return {line[0].line for line in over_tcp}
    lines[opening - 1] = head.rstrip()
    return set(range(opening + 1, closing + 1))


def _stub_blocks(text: str, values: PillarValues) -> tuple[str, tuple[str, ...]]:
    """A server block for each stub domain, bound and measured as the block of all names is.

    And the domains that have one where that would be bound.
    """
    if not values.kube_dns.stub_domains:
        return "", ()
    blocks = _blocks(text)
    like = _block_of(".", blocks, values.dns_port)
    bind = _line(like, "bind") if like else _bound(values.local_dns)
    prometheus = _line(like, "prometheus") if like else ()
    there = [block for block in blocks if _overlap(_line(block, "bind"), bind)]
    served = tuple(
        domain
        for domain, _ in values.kube_dns.stub_domains
        if _block_of(f"{domain}.", there, values.dns_port)
    )
    text = "".join(
        _stub_block(f"{domain}:{values.dns_port}", servers, bind, prometheus)
        for domain, servers in values.kube_dns.stub_domains
        if domain not in served
    )
    return text, served


def _bound(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return ("bind", *addresses) if addresses else ()


def _overlap(bind: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two `bind` lines have an address in common; none at all is every address."""
    return not bind or not other or not set(bind[1:]).isdisjoint(other[1:])


def _stub_block(
    key: str, servers: tuple[str, ...], bind: tuple[str, ...], prometheus: tuple[str, ...]
) -> str:
    lines = [("errors",), ("cache", str(_STUB_TTL)), bind, ("forward", ".", *servers), prometheus]
    body = "".join(f"    {' '.join(line)}\n" for line in lines if line)
    return f"\n{key} {{\n{body}}}\n"


def _block_of(zone_name: str, blocks: list[RawBlock], port: int) -> RawBlock | None:
    """The block that has a zone name among its keys."""
    for block in blocks:
        for key in block.keys:
            try:
                keys = zone_keys(key.text, port)
            except ValueError:
                continue
            if any(found.zone_name == zone_name and found.port == port for found in keys):
                return block
    return None


def _line(block: RawBlock, name: str) -> tuple[str, ...]:
    """A directive's words on its line, its block left out; nothing where it is not there."""
    for statement in block.statements:
        if statement.name.text == name:
            return (name, *(word.text for word in statement.words))
    return ()
