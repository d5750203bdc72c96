"""Runs in a pod: asks what standard input's JSON lists, of its resolv.conf's first server.

Input: [[name, type, "udp" | "tcp"], …]. Output: [[rcode, [record, …], flags], …] in that order.
"""

import json
import sys

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver

TIMEOUT_SECONDS = 5


def ask(server: str, name: str, qtype: str, transport: str) -> tuple[str, list[str], str]:
    query = dns.message.make_query(name, qtype)
    by = dns.query.tcp if transport == "tcp" else dns.query.udp
    reply = by(query, server, timeout=TIMEOUT_SECONDS)
    records = [f"{rrset.name} {item.to_text()}" for rrset in reply.answer for item in rrset]
    return dns.rcode.to_text(reply.rcode()), records, dns.flags.to_text(reply.flags)


def main() -> None:
    server = str(dns.resolver.Resolver().nameservers[0])
    print(json.dumps([ask(server, *question) for question in json.loads(sys.argv[1])]))


main()
