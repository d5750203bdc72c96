"""A simulated kube-dns that knows its pods, at the Service address 10.96.0.11."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.scenarios.simulated import Outgoing, SimulatedWorld

ADDRESS = "10.96.0.11"
SERVICE = "kube-dns-pods.kube-system.svc.cluster.local."


@dataclass
class KubeDns:
    """Answers for the headless Service as CoreDNS does. `asked` are the questions so far."""

    world: SimulatedWorld
    pods: Sequence[str] = ()
    ttl: int = 30
    udp_port: int = 53
    tcp_port: int = 53
    rcode: str = "NOERROR"
    has_service: bool = True
    has_ports: bool = True
    has_additional: bool = True
    asked: list[str] = field(default_factory=list)
    _answered: int = 0

    def answer(self) -> int:
        """Answer all that was asked, and what is asked thereupon; how many questions that were."""
        before = len(self.asked)
        self.world.settle()
        while self._answered < len(self.world.sent):
            outgoing = self.world.sent[self._answered]
            self._answered += 1
            if outgoing.endpoint.host == ADDRESS:
                self._answer(outgoing)
            self.world.settle()
        return len(self.asked) - before

    def _answer(self, outgoing: Outgoing) -> None:
        query = dns.message.from_wire(outgoing.packet)
        question = query.question[0]
        qname, rdtype = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{qname} {rdtype}")
        response = dns.message.make_response(query)
        if self.rcode != "NOERROR":
            response.set_rcode(dns.rcode.from_text(self.rcode))
        elif not self.has_service or not self.pods:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif rdtype == "SRV":
            self._tell_ports(response, qname)
        else:
            hosts = [pod for pod in self.pods if qname in (SERVICE, name_of(pod))]
            response.answer += self._addresses(qname, hosts, rdtype)
        outgoing.answer(response.to_wire())

    def _tell_ports(self, response: dns.message.Message, qname: str) -> None:
        if not self.has_ports:
            response.set_rcode(dns.rcode.NXDOMAIN)
            return
        port = self.udp_port if "_udp" in qname else self.tcp_port
        for pod in self.pods:
            text = f"0 50 {port} {name_of(pod)}"
            response.answer.append(dns.rrset.from_text(qname, self.ttl, "IN", "SRV", text))
            if self.has_additional:
                response.additional += self._addresses(name_of(pod), [pod], type_of(pod))

    def _addresses(self, name: str, hosts: Sequence[str], rdtype: str) -> list[dns.rrset.RRset]:
        return [
            dns.rrset.from_text(name, self.ttl, "IN", rdtype, host)
            for host in hosts
            if type_of(host) == rdtype
        ]


def name_of(pod: str) -> str:
    """`10.244.0.2` → `10-244-0-2.kube-dns-pods.…`, as CoreDNS names endpoints."""
    return f"{pod.replace('.', '-').replace(':', '-')}.{SERVICE}"


def type_of(pod: str) -> str:
    """The type of an address's record."""
    return "AAAA" if ":" in pod else "A"
