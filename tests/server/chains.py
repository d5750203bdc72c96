"""Queries, answers and chains for the tests of directives; dnspython writes and reads them."""

from collections.abc import Callable, Sequence

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from nodecache.forward import Failure
from nodecache.server.chain import Chain
from nodecache.server.directive import Client, Directive, Outcome, Result, no_forward
from nodecache.wire import Answer, Query, read_answer, read_query

POD = ("10.244.1.7", 40212)
NODE = ("169.254.20.10", 53)


def client(host: str = POD[0], *, transport: str = "udp", **more: object) -> Client:
    return Client((host, POD[1]), NODE, transport, server="dns://169.254.20.10:53", **more)


def query(qname: str, qtype: str = "A", rdclass: str = "IN", **options: object) -> Query:
    """A query as dig sends it; `options` are dnspython's (`use_edns`, `payload`, `want_dnssec`)."""
    return read_query(dns.message.make_query(qname, qtype, rdclass, **options).to_wire())


def answer(
    asked: Query,
    *lines: str,
    rcode: str = "NOERROR",
    authority: Sequence[str] = (),
    additional: Sequence[str] = (),
    flags: str = "QR AA RD RA",
) -> Answer:
    """What upstream says: records as in a zone file, a line each."""
    response = dns.message.make_response(dns.message.from_wire(asked.packet))
    response.flags = dns.flags.from_text(flags)
    response.set_rcode(dns.rcode.from_text(rcode))
    response.answer = [rrset(line) for line in lines]
    response.authority = [rrset(line) for line in authority]
    response.additional = [rrset(line) for line in additional]
    return read_answer(response.to_wire())


def rrset(line: str) -> dns.rrset.RRset:
    owner, ttl, rdclass, rdtype, data = line.split(maxsplit=4)
    return dns.rrset.from_text(owner, int(ttl), rdclass, rdtype, data)


def below(*results: Outcome | Callable[[Query], Outcome]) -> "Below":
    return Below(list(results))


class Below:
    """The end of a chain: gives what it was told to, one for each question, and notes those."""

    def __init__(self, results: list[Outcome | Callable[[Query], Outcome]]) -> None:
        self.asked: list[Query] = []
        self.clients: list[Client] = []
        self._results = results

    def __call__(self, asked: Query, for_whom: Client, back: Callable[[Outcome], None]) -> None:
        self.asked.append(asked)
        self.clients.append(for_whom)
        result = self._results.pop(0)
        back(result(asked) if callable(result) else result)

    @property
    def questions(self) -> list[str]:
        return [str(read(q.packet).question[0]) for q in self.asked]


def run(
    directives: Directive | Sequence[Directive],
    asked: Query,
    *,
    then: Callable[..., None] = no_forward,
    lookup: Callable[..., None] = no_forward,
    whom: Client | None = None,
) -> Result:
    """What comes of `asked`."""
    chosen = directives if isinstance(directives, Sequence) else [directives]
    results: list[Result] = []
    Chain(chosen, then, lookup).start(asked, whom or client(), results.append)
    (result,) = results
    return result


def read(packet: bytes) -> dns.message.Message:
    return dns.message.from_wire(packet)


def told(result: Result) -> dns.message.Message:
    """The message that `result` is, read by dnspython; fails where it is none."""
    assert isinstance(result, Answer), result
    assert read_answer(result.wire).ttl_offsets == result.ttl_offsets
    return dns.message.from_wire(result.wire, one_rr_per_rrset=True)


def lines(section: Sequence[dns.rrset.RRset]) -> list[str]:
    return [str(record) for record in section]


def rcode_of(result: Result) -> str:
    assert isinstance(result, Answer | Failure)
    return dns.rcode.to_text(result.rcode)
