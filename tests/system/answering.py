"""A stand-in kube-dns: answers every query NOERROR over UDP and TCP at one address, port 53."""

import contextlib
import selectors
import socket
import struct
import sys


def main(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    selector = selectors.DefaultSelector()
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    datagrams.bind((address, 53))
    listener = socket.create_server((address, 53), family=family, backlog=1024)
    selector.register(datagrams, selectors.EVENT_READ, answer_datagram)
    selector.register(listener, selectors.EVENT_READ, lambda s: accept(s, selector))
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            key.data(key.fileobj)


def answer_datagram(server: socket.socket) -> None:
    packet, client = server.recvfrom(4096)
    server.sendto(answered(packet), client)


def accept(listener: socket.socket, selector: selectors.BaseSelector) -> None:
    connection, _ = listener.accept()
    selector.register(connection, selectors.EVENT_READ, lambda c: answer_stream(c, selector))


def answer_stream(connection: socket.socket, selector: selectors.BaseSelector) -> None:
    packet = b""
    with contextlib.suppress(OSError):
        packet = connection.recv(4096)
        reply = answered(packet[2:])
        connection.send(struct.pack("!H", len(reply)) + reply)
    if not packet:
        selector.unregister(connection)
        connection.close()


def answered(packet: bytes) -> bytes:
    return packet[:2] + b"\x81\x80" + packet[4:]


if __name__ == "__main__":
    main(sys.argv[1])
