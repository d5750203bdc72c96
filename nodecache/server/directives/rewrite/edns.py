"""EDNS options that `rewrite edns0` has sent upstream.

They are never sent to clients, as if every rule had `revert`: an answer is cached for other clients
too. A client's own options are sent to upstreams if a rule changes their code.
"""

from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from struct import Struct

from nodecache.corefile.rewriting import EdnsAction, EdnsLocalRule, EdnsNsidRule, EdnsRule
from nodecache.server.directive import Client
from nodecache.wire import Query, text_of

_OPTION = Struct("!2H")  # code and size: RFC 6891 §6.1.2
_SUBNET = Struct("!HBB")  # family, source and scope prefix length: RFC 7871 §6
_NSID, _CLIENT_SUBNET = 3, 8
_IPV4, _IPV6 = 1, 2  # address families: RFC 7871 §6

Options = list[tuple[int, bytes]]
"""Codes and data of options, in the order they are sent in; a code may be there twice."""


def options_of(octets: bytes) -> Options:
    """The options of an OPT, which `read_query` has checked."""
    return list(_pairs(octets))


def _pairs(octets: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(octets):
        code, size = _OPTION.unpack_from(octets, offset)
        start = offset + _OPTION.size
        yield code, octets[start : start + size]
        offset = start + size


def octets_of(options: Options) -> bytes:
    """The options as an OPT has them."""
    return b"".join(_OPTION.pack(code, len(data)) + data for code, data in options)


def apply_edns(rule: EdnsRule, query: Query, client: Client) -> Query | None:
    """`query` with the rule's option for upstreams; None where the rule changes nothing."""
    sent = options_of(query.upstream_options or b"")
    code = _code_of(rule)
    data = _data_of(rule, query, client)
    if data is None:
        return None
    before = _with_code(sent, code) or _with_code(options_of(query.options), code)
    wanted = _outcome(rule.action, before, (code, data))
    if wanted is None:
        return None
    others = [option for option in sent if option[0] != code]
    other = query.copy()
    other.upstream_options = octets_of(others + wanted)
    return other


def _with_code(options: Options, code: int) -> Options:
    return [option for option in options if option[0] == code]


def _outcome(action: EdnsAction, before: Options, option: tuple[int, bytes]) -> Options | None:
    """The options of this code afterwards; None where the action is not for this query.

    `append` adds one beside those that are there, as CoreDNS does whatever its page says.
    """
    if action == "unset":
        return []
    if action == "append":
        return [*before, option]
    if action == "replace" and not before:
        return None
    return [option, *before[1:]]


def _code_of(rule: EdnsRule) -> int:
    if isinstance(rule, EdnsLocalRule):
        return rule.code
    return _NSID if isinstance(rule, EdnsNsidRule) else _CLIENT_SUBNET


def _data_of(rule: EdnsRule, query: Query, client: Client) -> bytes | None:
    """The option's data; None if a variable has no value."""
    if rule.action == "unset" or isinstance(rule, EdnsNsidRule):
        return b""
    if isinstance(rule, EdnsLocalRule):
        return _value(rule.variable, query, client) if rule.variable else rule.data
    return _subnet(client, rule.ipv6_bits if client.is_ipv6 else rule.ipv4_bits)


def _value(variable: str, query: Query, client: Client) -> bytes | None:
    """The octets that a variable stands for; None where it stands for nothing."""
    known = _VALUES.get(variable)
    if known is not None:
        return known(query, client)
    return (client.metadata or {}).get(variable[1:-1], "").encode() or None


def _packed(host: str) -> bytes:
    return ip_address(host.partition("%")[0]).packed


def _subnet(client: Client, bits: int) -> bytes:
    """The client's network, no octet more of it than `bits` say."""
    network = ip_network(f"{client.host.partition('%')[0]}/{bits}", strict=False)
    octets = network.network_address.packed[: (bits + 7) // 8]
    return _SUBNET.pack(_IPV6 if client.is_ipv6 else _IPV4, bits, 0) + octets


_VALUES: dict[str, Callable[[Query, Client], bytes]] = {
    "{qname}": lambda query, _: text_of(query.question[:-4]).encode(),
    "{qtype}": lambda query, _: query.qtype.to_bytes(2, "big"),
    "{client_ip}": lambda _, client: _packed(client.host),
    "{client_port}": lambda _, client: client.address[1].to_bytes(2, "big"),
    "{protocol}": lambda _, client: client.transport.encode(),
    "{server_ip}": lambda _, client: _packed(client.local_host),
    "{server_port}": lambda _, client: client.local[1].to_bytes(2, "big"),
}
