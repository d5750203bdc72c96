"""`whoami`: tells clients their own address, port and transport."""

from ipaddress import ip_address

from nodecache.server.directive import Client, Result
from nodecache.server.records import Record, Sections, reply_of
from nodecache.wire import MAX_NAME_SIZE, Query, Rdtype


class Whoami:
    """Answers everything: the address as A or AAAA, port and transport as SRV, both additional."""

    name = "whoami"

    def serve(self, query: Query, client: Client) -> Result:
        """A reply with the client's address, port and transport in the additional section, TTL 0."""
        qname = query.question[:-4]
        address = ip_address(client.host.partition("%")[0])
        rdtype = Rdtype.AAAA if client.is_ipv6 else Rdtype.A
        label = f"_{client.transport}".encode()
        owner = bytes([len(label)]) + label + qname
        told = [Record(qname, rdtype, query.rdclass, 0, address.packed)]
        if len(owner) <= MAX_NAME_SIZE:
            port = client.address[1].to_bytes(2, "big")
            # Priority and weight 0, the root as target: RFC 2782.
            service = b"\0\0\0\0" + port + b"\0"
            told.append(Record(owner, Rdtype.SRV, query.rdclass, 0, service))
        return reply_of(query, Sections(additional=told), written_by=self.name)
