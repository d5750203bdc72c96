"""Asks the original and nodecache the same, and lists where their replies differ.

    python -m tests.contract.side_by_side [CASE…]

The original is what NODECACHE_ORIGINAL names, or `node-cache` or `coredns` on PATH. Each query goes
out by UDP and by TCP, twice each, so that hits are compared too. What is compared: the rcode, each
flag, the presence of an OPT and its Extended DNS Errors, and the records of each section with their
TTLs (a second of difference is time that passed).
"""

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby, product
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.contract.side_by_side_cases import CASES, RCODES, ZONE, Case, Query
from tests.contract.side_by_side_reasons import Difference, explanation, without_chance
from tests.helpers.agent import HOST, Agent
from tests.helpers.original import Original, find_original
from tests.helpers.upstream import Exchange, FakeUpstream, Send, Step, obey, saying

_SECTIONS = ("answer", "authority", "additional")
_FLAGS = ("QR", "AA", "TC", "RD", "RA", "AD", "CD")
_TIMEOUT_SECONDS = 8.0
_ALL_WAYS = 4  # two transports, two times

ReplyFields = dict[str, object]


def behave(exchange: Exchange) -> Iterable[Step]:
    """The upstream: from its records, and every rcode under a name of its own."""
    label = exchange.qname.split(".")[0].lower()
    known = {f"rcode-{rcode.lower()}": rcode for rcode in RCODES}
    if label in known:
        return saying(known[label])(exchange)
    if label == "badvers":
        return saying("BADVERS")(exchange) if exchange.message.edns >= 0 else obey(exchange)
    if label == "nosoa":
        return saying("NXDOMAIN")(exchange)
    if label == "referral":
        return _referral(exchange)
    return obey(exchange)


def _referral(exchange: Exchange) -> Iterator[Step]:
    response = dns.message.make_response(exchange.message, recursion_available=True)
    response.authority.append(
        dns.rrset.from_text("referral.example.org.", 300, "IN", "NS", "ns.elsewhere.test.")
    )
    yield Send(response.to_wire())


def corefile(case: Case, upstream: str) -> str:
    """The case's Corefile, `{port}` left open."""
    lines = [f"bind {HOST}", *case.lines, case.forward.replace("UPSTREAM", upstream)]
    body = "\n".join(lines).replace("\n", "\n    ")
    return f"{case.key}:{{port}} {{\n    {body}\n}}\n"


def told(query: Query, port: int, *, by_tcp: bool) -> ReplyFields:
    """What a server says to `query`."""
    send = dns.query.tcp if by_tcp else dns.query.udp
    packet = dns.message.from_wire(query.to_wire(), question_only=False)
    try:
        reply = send(
            packet,
            HOST,
            port=port,
            timeout=_TIMEOUT_SECONDS,
            ignore_trailing=True,
            one_rr_per_rrset=True,
        )
    except dns.exception.Timeout:
        return {"reply": "silence"}
    except (dns.exception.DNSException, EOFError, OSError) as error:
        return {"reply": type(error).__name__}
    return _facts(reply)


def _facts(reply: dns.message.Message) -> ReplyFields:
    """A reply, taken apart into what is compared."""
    facts: ReplyFields = {
        "reply": "a message",
        "rcode": dns.rcode.to_text(reply.rcode()),
        "question": [str(question) for question in reply.question],
        "OPT": reply.edns >= 0,
        "options": [str(option.otype) for option in reply.options],
    }
    for flag in _FLAGS:
        facts[flag] = bool(reply.flags & dns.flags.Flag[flag])
    for name in _SECTIONS:
        section = getattr(reply, name)
        rdtypes = [dns.rdatatype.to_text(rrset.rdtype) for rrset in section]
        records = [
            f"{rrset.name} {rdtype} {rrset[0]}"
            for rrset, rdtype in zip(section, rdtypes, strict=True)
        ]
        facts[name] = sorted(map(without_chance, records))
        facts[f"{name} order"] = _kinds(rdtypes)
        facts[f"{name} TTLs"] = sorted({rrset.ttl for rrset in section})
    return facts


def _kinds(rdtypes: list[str]) -> list[str]:
    """Types in their order, equal neighbours once: upstreams and `loadbalance` shuffle addresses."""
    kinds = ["A" if rdtype == "AAAA" else rdtype for rdtype in rdtypes]
    return [kind for kind, _ in groupby(kinds)]


def differences(
    case: Case, query: str, original: ReplyFields, ours: ReplyFields
) -> Iterator[Difference]:
    """Where two replies differ."""
    for what in original.keys() | ours.keys():
        theirs, mine = original.get(what), ours.get(what)
        is_equal = _is_near(theirs, mine) if what.endswith(" TTLs") else theirs == mine
        if not is_equal:
            yield Difference(case.name, query, what, _short(theirs), _short(mine))


def _is_near(theirs: object, ours: object) -> bool:
    if not isinstance(theirs, list) or not isinstance(ours, list) or len(theirs) != len(ours):
        return theirs == ours
    return all(abs(one - other) <= 1 for one, other in zip(theirs, ours, strict=True))


def _short(value: object) -> str:
    if isinstance(value, list) and len(value) > 4:
        return f"{len(value)}: {value[:2]} …"
    return str(value)


def name_of(query: Query) -> str:
    """A query in a few words."""
    words = [dns.opcode.to_text(query.opcode()) if query.opcode() else ""]
    words.append(str(query.question[0]) if query.question else "no question")
    words.append(dns.flags.to_text(query.flags & ~dns.flags.RD & 0x87FF))
    if query.edns >= 0:
        words.append(f"EDNS{query.edns or ''} {query.payload}{' DO' * bool(query.ednsflags)}")
    return " ".join(word for word in words if word)


def compare(case: Case, program: str) -> list[Difference]:
    """All differences of one case."""
    folder = Path(tempfile.mkdtemp(prefix="side-by-side-"))
    found: list[Difference] = []
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        upstreams = [stack.enter_context(FakeUpstream(ZONE)) for _ in range(2)]
        for upstream in upstreams:
            upstream.behave = behave
        original = stack.enter_context(
            Original(program, folder, corefile(case, upstreams[0].address))
        )
        ours = stack.enter_context(Agent(folder, corefile(case, upstreams[1].address)))
        for query, by_tcp, time in product(case.queries, (False, True), ("first", "again")):
            name = f"{name_of(query)}, {'TCP' if by_tcp else 'UDP'}, {time}"
            theirs = told(query, original.port, by_tcp=by_tcp)
            mine = told(query, ours.port, by_tcp=by_tcp)
            found += differences(case, name, theirs, mine)
    return found


def has_directives(program: str, case: Case) -> bool:
    """Whether the original that was found knows all that the case is about."""
    return case.is_in_node_cache or not Path(program).name.startswith("node-cache")


def summed_up(found: Iterable[Difference]) -> list[str]:
    """The differences, those of one query by both transports and both times in one line."""
    ways: dict[tuple[str, str, str, str], list[str]] = {}
    for difference in found:
        query, _, way = difference.query.partition(", ")
        key = (query, difference.what, difference.original, difference.ours)
        ways.setdefault(key, []).append(way)
    return [
        f"{query} ({'; '.join(where) if len(where) < _ALL_WAYS else 'always'}):"
        f" {what}: {original} | {ours}"
        for (query, what, original, ours), where in ways.items()
    ]


def main(names: list[str]) -> int:
    """Print all differences of the cases named, or of all; 1 if one of them is not explained."""
    program = find_original()
    if program is None:
        print("no original: set NODECACHE_ORIGINAL, or have node-cache or coredns on PATH")
        return 2
    print(f"the original: {program}; in each line the original's word first, then ours")
    unexplained = 0
    for case in CASES:
        if (names and case.name not in names) or not has_directives(program, case):
            continue
        found = compare(case, program)
        by_reason: dict[str, list[Difference]] = {}
        for difference in found:
            by_reason.setdefault(explanation(difference), []).append(difference)
        print(f"\n{case.name}: {len(case.queries)} queries, {len(found)} differences")
        for reason, those in sorted(by_reason.items()):
            unexplained += len(those) if not reason else 0
            print(f"  {reason or 'NOT EXPLAINED'}: {len(those)}")
            for line in summed_up(those):
                print(f"    {line}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
