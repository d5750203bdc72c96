"""Plays a scenario: real forwarder, and real zone, in a simulated world.

Steps beside those of `notation`: TIMES are in seconds, LABELs name a query or an outgoing message.

    CHECK_NO_OUT_QUERY                      nothing left that was not checked
    CHECK_NO_ANSWER [of=LABEL]              the client still waits
    CANCEL [of=LABEL]                       the client waits no more
    MACHINE ADDRESS alive|dead|refusing     dead: drops all; refusing: nobody listens
    STREAMS ADDRESS refused|taken           whether it takes connections by TCP, whatever it does by UDP
    CUT_OFF [of=LABEL]                      the connection a message left on is cut without a word
    HANG_UP, RESET [of=LABEL]               the same, ended by the other side
    CHECK_CONNECTIONS ADDRESS N             connections open to it
    REPLY_OCTETS HEX [counting=N]           one answer record that is nothing but these octets; or N, says the header
    REPLY_BARE RCODE [flags=TC]             a header with that rcode, and no question
    CHECK_PROBE, REPLY_PROBE [ADDRESS]      health probes (`. NS`) stand apart from queries
    COMES_BACK                              what left last arrives as a client's query
    CHECK_LOG TEXT                          a line of the log holds TEXT
    CHECK_COUNT NAME=N …                    the forwarder's counts
    UPSTREAMS ADDRESS …                     others from now on

Whatever leaves us and is not checked is an error at the end, and at CHECK_NO_OUT_QUERY.
"""

import logging
from dataclasses import dataclass, field

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.scenarios.dig import as_dig
from tests.scenarios.notation import Scenario, Step
from tests.scenarios.simulated import START, Outgoing, SimulatedWorld
from tests.scenarios.subjects import Client, ForwardSubject, Subject, ZoneSubject

_PROBE = ". IN NS"


class ScenarioFailed(AssertionError):
    """A step found something else than it says."""


@dataclass
class Play:
    """One run. `transcript` is what happened, as dig would write it."""

    scenario: Scenario
    world: SimulatedWorld = field(default_factory=SimulatedWorld)
    transcript: list[str] = field(default_factory=list)
    clients: dict[str, Client] = field(default_factory=dict)
    labelled: dict[str, Outgoing] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def run(self) -> None:
        handler = _Collector(self.log)
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        try:
            self._subject = self._start()
            for step in self.scenario.steps:
                self._play(step)
            self._subject.close()
            self._check_no_out_query(_END)
            inside = [line for line in self.log if "an error inside" in line]
            assert not inside, inside
        finally:
            root.removeHandler(handler)
            root.setLevel(level)

    def _start(self) -> Subject:
        self._unchecked: list[Outgoing] = []
        self._seen = 0
        self._last: Outgoing | None = None
        kind = {"forward": ForwardSubject, "server": ZoneSubject}[self.scenario.kind]
        return kind(self.scenario.config, self.world)

    def _play(self, step: Step) -> None:
        verb = getattr(self, f"_{step.verb.lower()}", None)
        if verb is None:
            self._fail(step, f"there is no step {step.verb}")
        options = [f"{name}={value}" for name, value in step.options.items()]
        self._say(" ".join(["STEP", step.number, step.verb, *step.words, *options]))
        verb(step)
        self.world.settle()

    # Clients

    def _query(self, step: Step) -> None:
        name, rdclass, rdtype, *flags = step.words
        message = dns.message.make_query(name, rdtype, rdclass, id=len(self.clients) + 1)
        if "noedns" not in flags:
            message.use_edns(0, payload=1232)
        self._ask(step, message.to_wire(), "tcp" if "tcp" in flags else "udp")

    def _ask(self, step: Step, packet: bytes, transport: str) -> None:
        label = step.options.get("as", f"query {step.number}")
        deadline = float(step.options.get("deadline", 5))
        self.clients[label] = self._subject.ask(packet, transport, deadline)
        self.world.settle()

    def _comes_back(self, step: Step) -> None:
        assert self._last is not None
        self._ask(step, self._last.packet, "udp")

    def _client(self, step: Step) -> Client:
        label = step.options.get("of") or list(self.clients)[-1]
        return self.clients[label]

    def _cancel(self, step: Step) -> None:
        self._client(step).cancel()

    def _check_no_answer(self, step: Step) -> None:
        replies = self._client(step).replies
        if replies:
            self._fail(step, f"the client got an answer:\n{replies[0]}")

    def _check_answer(self, step: Step) -> None:
        client = self._client(step)
        if not client.replies:
            self._fail(step, "the client got no answer")
        if len(client.replies) > 1:
            self._fail(step, "the client got two answers")
        reply = client.replies[0]
        self._say(as_dig(reply))
        self._expect(step, "rcode", step.words[0], dns.rcode.to_text(reply.rcode()))
        for name, value in step.options.items():
            if name not in ("of", "as"):
                self._expect(step, name, value, _FACTS[name](reply))
        if len(step.words) > 1:
            wanted = {str(rrset) for rrset in _rrsets(step.words[1:])}
            found = {str(rrset) for rrset in reply.answer + reply.authority}
            self._expect(step, "records", "\n".join(sorted(wanted)), "\n".join(sorted(found)))

    # Upstreams

    def _check_out_query(self, step: Step) -> None:
        transport, host, name, _, rdtype = step.words
        for outgoing in self._outgoing():
            asked = dns.message.from_wire(outgoing.packet).question[0]
            qname = str(asked.name)
            if (
                (outgoing.transport, outgoing.endpoint.host) == (transport, host)
                and name in ("*", qname)
                and asked.rdtype == dns.rdatatype.from_text(rdtype)
            ):
                self._unchecked.remove(outgoing)
                self._last = outgoing
                self.labelled[step.options.get("as", "")] = outgoing
                message = dns.message.from_wire(outgoing.packet)
                self._say(as_dig(message))
                if "edns" in step.options:
                    self._expect(step, "edns", step.options["edns"], _FACTS["edns"](message))
                return
        self._fail(step, f"it did not leave; unchecked is: {self._unchecked_text()}")

    def _check_no_out_query(self, step: Step) -> None:
        if self._outgoing():
            self._fail(step, f"left unchecked: {self._unchecked_text()}")

    def _check_probe(self, step: Step) -> None:
        self._outgoing()
        wanted = step.words[0]
        if not any(probe.endpoint.host == wanted for probe in self._probes):
            self._fail(step, f"no probe went to {wanted}")

    def _reply_probe(self, step: Step) -> None:
        self._outgoing()
        for probe in self._probes:
            if probe.endpoint.host == step.words[0]:
                response = dns.message.make_response(dns.message.from_wire(probe.packet))
                probe.answer(response.to_wire())

    def _outgoing(self) -> list[Outgoing]:
        """What left and was not checked; probes are put aside."""
        for outgoing in self.world.sent[self._seen :]:
            question = dns.message.from_wire(outgoing.packet).question[0]
            is_probe = str(question) == _PROBE
            (self._probes if is_probe else self._unchecked).append(outgoing)
        self._seen = len(self.world.sent)
        return self._unchecked

    _probes: list[Outgoing] = field(default_factory=list)

    def _unchecked_text(self) -> str:
        lines = [
            f"{o.transport} {o.endpoint.host} {dns.message.from_wire(o.packet).question[0]}"
            f" at {o.at - START:.3f}"
            for o in self._unchecked
        ]
        return "; ".join(lines) or "nothing"

    def _outgoing_of(self, step: Step) -> Outgoing:
        label = step.options.get("of")
        outgoing = self.labelled[label] if label is not None else self._last
        if outgoing is None:
            self._fail(step, "nothing was checked to have left")
        return outgoing

    def _reply(self, step: Step) -> None:
        outgoing = self._outgoing_of(step)
        response = dns.message.make_response(dns.message.from_wire(outgoing.packet))
        response.flags |= dns.flags.RA
        rcode, *records = step.words
        for rrset in _rrsets(records):
            is_soa = rrset.rdtype == dns.rdatatype.SOA
            (response.authority if is_soa else response.answer).append(rrset)
        for flag in step.options.get("flags", "").split(","):
            response.flags |= dns.flags.Flag[flag] if flag else 0
        if "id" in step.options:
            response.id = (response.id + int(step.options["id"])) % 65536
        if "name" in step.options:
            response.question[0].name = dns.name.from_text(step.options["name"])
        response.set_rcode(dns.rcode.from_text(rcode))
        self._say(as_dig(response))
        outgoing.answer(response.to_wire())

    def _reply_octets(self, step: Step) -> None:
        outgoing = self._outgoing_of(step)
        octets = bytes.fromhex(step.words[0])
        end = 12 + len(outgoing.packet[12:].split(b"\0", 1)[0]) + 5
        count = int(step.options.get("counting", "1"))
        header = outgoing.packet[:2] + bytes.fromhex(f"8180 0001 {count:04x} 0000 0000")
        outgoing.answer(header + outgoing.packet[12:end] + octets)

    def _reply_bare(self, step: Step) -> None:
        outgoing = self._outgoing_of(step)
        response = dns.message.Message(id=dns.message.from_wire(outgoing.packet).id)
        response.flags = dns.flags.QR
        if "flags" in step.options:
            response.flags |= dns.flags.Flag[step.options["flags"]]
        response.set_rcode(dns.rcode.from_text(step.words[0]))
        outgoing.answer(response.to_wire())

    def _machine(self, step: Step) -> None:
        host, mood = step.words
        self.world.machine(host).mood = mood

    def _streams(self, step: Step) -> None:
        host, mood = step.words
        self.world.machine(host).takes_streams = mood == "taken"

    def _cut_off(self, step: Step) -> None:
        self._outgoing_of(step).way.is_cut_off = True

    def _hang_up(self, step: Step) -> None:
        self._outgoing_of(step).way.end(None)

    def _reset(self, step: Step) -> None:
        self._outgoing_of(step).way.end(ConnectionResetError(104, "Connection reset by peer"))

    def _check_connections(self, step: Step) -> None:
        host, number = step.words
        found = sum(stream.is_open for stream in self.world.machine(host).streams)
        self._expect(step, "connections", number, str(found))

    def _upstreams(self, step: Step) -> None:
        self._subject.set_upstreams(step.words)

    # The rest

    def _time_passes(self, step: Step) -> None:
        self.world.advance(float(step.words[-1]))

    def _check_log(self, step: Step) -> None:
        text = " ".join(step.words)
        if not any(text in line for line in self.log):
            self._fail(step, f"not in the log: {text!r}; it says:\n" + "\n".join(self.log))

    def _check_count(self, step: Step) -> None:
        for name, value in step.options.items():
            self._expect(step, name, value, str(self._subject.count(name)))

    def _expect(self, step: Step, what: str, wanted: str, found: str) -> None:
        if wanted != found:
            self._fail(step, f"{what} is {found}, not {wanted}")

    def _fail(self, step: Step, text: str) -> None:
        raise ScenarioFailed(f"{self.scenario.name}:{step.line}: STEP {step.number}: {text}")

    def _say(self, text: str) -> None:
        is_step = text.startswith("STEP")
        self.transcript.append(f"; {self.world.now - START:.3f} s: {text}" if is_step else text)


_END = Step(0, "at the end", "CHECK_NO_OUT_QUERY", (), {})


class _Collector(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"[{record.levelname}] {record.name}: {record.getMessage()}")


def _rrsets(words: tuple[str, ...] | list[str]) -> list[dns.rrset.RRset]:
    """Records as dig writes them, `|` between them."""
    found = []
    for text in " ".join(words).split("|"):
        if text.strip():
            owner, ttl, rdclass, rdtype, *rdata = text.split()
            found.append(dns.rrset.from_text(owner, int(ttl), rdclass, rdtype, " ".join(rdata)))
    return found


def _ttl(reply: dns.message.Message) -> str:
    return str(min(rrset.ttl for rrset in reply.answer + reply.authority))


def _ede(reply: dns.message.Message) -> str:
    codes = [str(int(o.code)) for o in reply.options if isinstance(o, dns.edns.EDEOption)]
    return ",".join(codes) or "none"


def _text(reply: dns.message.Message) -> str:
    return ",".join(o.text or "" for o in reply.options if isinstance(o, dns.edns.EDEOption))


_FACTS = {
    "ttl": _ttl,
    "ede": _ede,
    "text": _text,
    "question": lambda reply: str(reply.question[0].name),
    "flags": lambda reply: dns.flags.to_text(reply.flags),
    "edns": lambda message: "no" if message.edns < 0 else str(message.edns),
}
