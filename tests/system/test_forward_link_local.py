"""A node whose only resolver is a router at a link-local address, as router advertisements name it (RFC 8106)."""

import os
import socket
import threading

import dns.message
import dns.query
import dns.rcode
import pytest

from tests.needs import need_node
from tests.patience import PATIENCE_SECONDS
from tests.system.backends import agent
from tests.system.netns import Namespace, pod_namespace

pytestmark = pytest.mark.system

need_node()

ROUTER = "fe80::53"
COREFILE = """
. {{
    bind 127.0.0.1
    forward . {file}
}}
"""


@pytest.fixture
def node():
    node = Namespace(f"nc{os.getpid()}r")
    router = pod_namespace(node, 1)
    router.run("ip", "address", "add", f"{ROUTER}/64", "dev", "eth0", "nodad")
    with router.entered(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.bind(("::", 53))
        answering = threading.Thread(target=deny_all, args=(server,))
        answering.start()
        yield node
        server.sendto(b"", ("::1", 53))
        answering.join()
    router.remove()
    node.remove()


def deny_all(server: socket.socket) -> None:
    """Answer each query with NXDOMAIN, until an empty packet comes."""
    while True:
        packet, client = server.recvfrom(4096)
        if not packet:
            return
        response = dns.message.make_response(dns.message.from_wire(packet))
        response.set_rcode(dns.rcode.NXDOMAIN)
        server.sendto(response.to_wire(), client)


def test_a_link_local_server_of_resolv_conf_is_asked(node, tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text(f"nameserver {ROUTER}%pod1\n")
    with agent(node, tmp_path, COREFILE.format(file=file)), node.entered():
        query = dns.message.make_query("a.example.", "A")
        reply = dns.query.udp(query, "127.0.0.1", timeout=PATIENCE_SECONDS)
    assert reply.rcode() == dns.rcode.NXDOMAIN
