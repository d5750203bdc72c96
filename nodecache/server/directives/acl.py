"""`acl`: who may ask what."""

from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address

from nodecache.corefile import AclOptions, AclPolicy
from nodecache.server.directive import Client, NoReply, Result
from nodecache.server.records import reply_of
from nodecache.server.zone_names import ZoneNames
from nodecache.wire import Ede, ExtendedErrors, Flag, Query, Rcode

from .counts import Labels

# Clients whose networks are remembered; a node has some hundred pods.
_MAX_CLIENTS = 4096

_FILTERED: ExtendedErrors = ((17, b""),)  # RFC 8914 §4.18
# glibc takes an empty NOERROR with neither bit for a lame server's, and its caller hears
# "Temporary failure in name resolution" (resolv/res_send.c).
_ANSWERED = int(Flag.AA | Flag.RA)
_BLOCKED: ExtendedErrors = ((Ede.BLOCKED, b""),)


def _contains(policy: AclPolicy, host: str) -> bool:
    """Whether the client at `host` is in one of the policy's networks."""
    if not policy.networks:
        return True
    address = ip_address(host.partition("%")[0])
    return any(address in network for network in policy.networks)


class Acl:
    """Lets a query pass, or answers it with REFUSED, with nothing, or not at all.

    `counts` is of queries, by what became of them, server label and zone (empty where allowed).
    """

    name = "acl"

    def __init__(
        self, options: Sequence[AclOptions], block_zones: Sequence[str], counts: Counter[Labels]
    ) -> None:
        self._counts = counts
        self._rules = [(ZoneNames(each.zones or block_zones), each.policies) for each in options]
        self._policies = [policy for each in options for policy in each.policies]
        self._networks: dict[str, frozenset[int]] = {}

    def serve(self, query: Query, client: Client) -> Result | None:
        """The result of the first policy that matches; None if that allows the query, or none matches."""
        action, zone = self._decide(query, client)
        self._counts[action, client.server, zone] += 1
        if action == "allow":
            return None
        if action == "drop":
            return NoReply.DROPPED
        is_blocked = action == "block"
        return reply_of(
            query,
            rcode=Rcode.REFUSED if is_blocked else Rcode.NOERROR,
            flags=0 if is_blocked else _ANSWERED,
            ede=_BLOCKED if is_blocked else _FILTERED,
            written_by=self.name,
        )

    def admits(self, query: Query, client: Client) -> bool:
        """Whether a query would pass, without counting it: nobody has asked it yet."""
        return self._decide(query, client)[0] == "allow"

    def _decide(self, query: Query, client: Client) -> tuple[str, str]:
        """What to do, and the zone of the rule that says so."""
        covering = self._covering(client.host)
        index = 0
        for zones, policies in self._rules:
            zone = zones.match(query.qname)
            for policy in policies:
                is_asked = not policy.rdtypes or query.qtype in policy.rdtypes
                if zone is not None and is_asked and index in covering:
                    return policy.action, zone if policy.action != "allow" else ""
                index += 1
        return "allow", ""

    def _covering(self, host: str) -> frozenset[int]:
        """The policies whose networks hold `host`, by index; worked out once a client."""
        covering = self._networks.get(host)
        if covering is None:
            if len(self._networks) >= _MAX_CLIENTS:
                self._networks.clear()
            covering = frozenset(
                index for index, policy in enumerate(self._policies) if _contains(policy, host)
            )
            self._networks[host] = covering
        return covering
