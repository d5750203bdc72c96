"""A stand-in for one pod of kube-dns: it knows who the pods are, and answers all else with its own address.

    kube_dns_pod.py ADDRESS FOLDER DELAY_SECONDS

FOLDER/told.json is what it says of the headless Service `kube-dns-pods`: {"pods": [ADDRESS…], "ttl": seconds},
null where there is no such Service. FOLDER/ADDRESS.asked gets a line for each question: the
monotonic moment it came at, its name and type. Other answers leave after DELAY_SECONDS.
"""

import asyncio
import json
import struct
import sys
import time
from ipaddress import ip_address
from pathlib import Path

import dns.message
import dns.rcode
import dns.rrset

SERVICE = "kube-dns-pods.kube-system.svc.cluster.local."
DNS_PORT = 53


class Pod:
    """Answers, and writes down what it was asked."""

    def __init__(self, address: str, folder: Path, delay: float) -> None:
        self._octets = ip_address(address).packed
        self._told = folder / "told.json"
        self._delay = delay
        self._asked = (folder / f"{address}.asked").open("w", buffering=1)

    def hear(self, packet: bytes, reply) -> None:
        """Call `reply` with the answer, when it is time."""
        qname, qtype = question_of(packet)
        self._asked.write(f"{time.monotonic()} {qname} {qtype}\n")
        if qname.lower().endswith(SERVICE):
            reply(self._list(packet, qname))
        elif self._delay:
            asyncio.get_running_loop().call_later(self._delay, reply, self._answer(packet, qtype))
        else:
            reply(self._answer(packet, qtype))

    def _answer(self, packet: bytes, qtype: int) -> bytes:
        """Our own address to whoever asks for an IPv4 one, nothing to others."""
        end = packet.index(b"\0", 12) + 5
        is_address = qtype == 1
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4" + self._octets if is_address else b""
        return (
            packet[:2]
            + b"\x81\x80"
            + struct.pack("!4H", 1, is_address, 0, 0)
            + packet[12:end]
            + answer
        )

    def _list(self, packet: bytes, qname: str) -> bytes:
        """What CoreDNS says of a headless Service: SRV records, addresses along with them."""
        told = json.loads(self._told.read_text())
        query = dns.message.from_wire(packet)
        response = dns.message.make_response(query)
        if told is None or not told["pods"]:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif qname.startswith("_"):
            for pod in told["pods"]:
                target = f"{pod.replace('.', '-')}.{SERVICE}"
                srv = dns.rrset.from_text(qname, told["ttl"], "IN", "SRV", f"0 50 53 {target}")
                response.answer.append(srv)
                response.additional.append(dns.rrset.from_text(target, told["ttl"], "IN", "A", pod))
        return response.to_wire()


def question_of(packet: bytes) -> tuple[str, int]:
    labels, at = [], 12
    while size := packet[at]:
        labels.append(packet[at + 1 : at + 1 + size].decode())
        at += size + 1
    return ".".join([*labels, ""]) or ".", int.from_bytes(packet[at + 1 : at + 3])


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    def connection_made(self, transport) -> None:
        self._transport = transport

    def datagram_received(self, packet: bytes, client) -> None:
        self._pod.hear(packet, lambda reply: self._transport.sendto(reply, client))


class Stream(asyncio.Protocol):
    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._unread = bytearray()

    def connection_made(self, transport) -> None:
        self._transport = transport

    def data_received(self, octets: bytes) -> None:
        unread = self._unread
        unread += octets
        while len(unread) >= 2 and len(unread) >= 2 + (size := int.from_bytes(unread[:2])):
            packet = bytes(unread[2 : 2 + size])
            del unread[: 2 + size]
            self._pod.hear(packet, self._reply)

    def _reply(self, reply: bytes) -> None:
        self._transport.write(struct.pack("!H", len(reply)) + reply)


async def main(address: str, folder: str, delay: str) -> None:
    pod = Pod(address, Path(folder), float(delay))
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: Datagrams(pod), local_addr=(address, DNS_PORT))
    server = await loop.create_server(lambda: Stream(pod), address, DNS_PORT, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
