import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from hypothesis import given
from hypothesis import strategies as st

from nodecache.forward.records import ServiceRecords, read_services
from nodecache.wire import MalformedMessage, read_answer

TARGET = "Pod-1.kube-dns-pods.example."


def answer(*answers: str, additional: tuple[str, ...] = ()):
    query = dns.message.make_query("_dns._udp.example.", "SRV")
    response = dns.message.make_response(query)
    for section, texts in ((response.answer, answers), (response.additional, additional)):
        for text in texts:
            owner, rdtype, *data = text.split()
            section.append(dns.rrset.from_text(owner, 30, "IN", rdtype, " ".join(data)))
    return read_answer(response.to_wire())


def wire(name: str) -> bytes:
    return dns.name.from_text(name.lower()).to_wire()


def test_targets_ports_and_addresses_are_read():
    found = read_services(
        answer(
            f"_dns._udp.example. SRV 0 50 5353 {TARGET}",
            additional=(f"{TARGET} A 10.244.0.2", f"{TARGET} AAAA fd00::2"),
        )
    )
    assert found == ServiceRecords({wire(TARGET): 5353}, {wire(TARGET): ("10.244.0.2", "fd00::2")})


def test_other_records_are_passed_over():
    found = read_services(answer("_dns._udp.example. CNAME b.example.", "b.example. TXT hello"))
    assert found == ServiceRecords()


def test_addresses_of_another_class_are_none():
    """A CHAOS address is a name and a number (RFC 1035 names no size): read as one of IN, it is a fault."""
    message = dns.message.make_response(dns.message.make_query("_dns._udp.example.", "SRV"))
    foreign = dns.rdata.GenericRdata(dns.rdataclass.CH, dns.rdatatype.A, b"\1x\0\0\1")
    message.additional.append(dns.rrset.from_rdata(TARGET, 30, foreign))
    assert read_services(read_answer(message.to_wire())) == ServiceRecords()


@given(st.binary(max_size=200))
def test_octets_that_are_an_answer_at_all_can_be_read(tail):
    head = answer(f"_dns._udp.example. SRV 0 50 53 {TARGET}").wire
    try:
        read = read_answer(head[:7] + b"\3" + head[8:] + tail)
    except MalformedMessage:
        return
    read_services(read)
