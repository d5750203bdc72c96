"""Real DNS servers from Debian, on ports of their own, for the forwarder to ask."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from tests.helpers.agent import free_port
from tests.helpers.certificates import Certificates
from tests.needs import need
from tests.patience import PATIENCE_SECONDS

HOST = "127.0.0.1"
ZONE = """\
$ORIGIN example.
$TTL 300
@ SOA ns.example. admin.example. 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.1
alias CNAME www
many A 192.0.2.{first}
""" + "".join(f'big TXT "{"x" * 200}{number}"\n' for number in range(12))
_UNBOUND = """
server:
    interface: {host}@{port}
    interface: {host}@{tls_port}
    tls-port: {tls_port}
    interface: {host}@{https_port}
    https-port: {https_port}
    {tls}
    do-daemonize: no
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    log-queries: no
    do-not-query-localhost: no
    module-config: "iterator"
    local-zone: "example." static
    local-data: "example. 300 IN SOA ns.example. admin.example. 1 3600 600 86400 60"
    local-data: "www.example. 300 IN A 192.0.2.1"
    local-zone: "wild.example." redirect
    local-data: "wild.example. 300 IN A 192.0.2.2"
"""

_UNBOUND_FORWARDING = """
server:
    interface: {host}@{port}
    do-daemonize: no
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    do-not-query-localhost: no
    module-config: "iterator"
forward-zone:
    name: "."
    forward-addr: {to}
"""


@contextmanager
def unbound(
    folder: Path, certificates: Certificates | None = None
) -> Iterator[tuple[int, int, int]]:
    """unbound with a small zone; its plain port, and those for TLS and HTTPS."""
    program = need("unbound", package="unbound")
    port, tls_port, https_port = free_port(), free_port(), free_port()
    tls = ""
    if certificates is not None:
        tls = (
            f'tls-service-key: "{certificates.server_key}"\n'
            f'    tls-service-pem: "{certificates.server}"'
        )
    config = folder / "unbound.conf"
    ports = {"port": port, "tls_port": tls_port, "https_port": https_port}
    config.write_text(_UNBOUND.format(host=HOST, tls=tls, **ports))
    with _running(folder, port, program, "-d", "-c", str(config)):
        yield port, tls_port, https_port


@contextmanager
def unbound_forwarding_to(folder: Path, port: int, host: str, to_port: int) -> Iterator[None]:
    """unbound at `port`, which asks somebody else everything."""
    program = need("unbound", package="unbound")
    config = folder / "forwarding.conf"
    config.write_text(_UNBOUND_FORWARDING.format(host=HOST, port=port, to=f"{host}@{to_port}"))
    with (folder / "forwarding.log").open("wb") as log:
        process = subprocess.Popen([program, "-d", "-c", str(config)], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


@contextmanager
def nsd(folder: Path) -> Iterator[int]:
    """nsd, authoritative for the zone; its port."""
    program = need("nsd", package="nsd")
    port = free_port()
    (folder / "example.zone").write_text(ZONE.replace("{first}", "1"))
    config = folder / "nsd.conf"
    config.write_text(
        f'server:\n  ip-address: {HOST}@{port}\n  port: {port}\n  username: ""\n  chroot: ""\n'
        f'  zonesdir: "{folder}"\n  database: ""\n  pidfile: "{folder}/nsd.pid"\n'
        f'  xfrdfile: "{folder}/xfrd.state"\n  zonelistfile: "{folder}/zone.list"\n'
        f"  server-count: 1\nremote-control:\n  control-enable: no\n"
        f"zone:\n  name: example\n  zonefile: example.zone\n"
    )
    with _running(folder, port, program, "-d", "-c", str(config)):
        yield port


@contextmanager
def dnsmasq(folder: Path, port: int = 0) -> Iterator[int]:
    """dnsmasq, as in kube-dns: it hangs up after a hundred queries a connection."""
    program = need("dnsmasq", package="dnsmasq-base")
    port = port or free_port()
    arguments = (
        f"--port={port}", f"--listen-address={HOST}", "--bind-interfaces", "--no-resolv",
        "--no-hosts", "--keep-in-foreground", "--user=root", f"--pid-file={folder}/dnsmasq.pid",
        "--conf-file=/dev/null", "--address=/example/192.0.2.1", "--local-ttl=300",
    )  # fmt: skip
    with _running(folder, port, program, *arguments):
        yield port


@contextmanager
def _running(folder: Path, port: int, *argv: str) -> Iterator[None]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            _wait_until_answering(port, process, folder / "server.log")
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def _wait_until_answering(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    query = dns.message.make_query("www.example.", "A")
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            dns.query.tcp(query, HOST, timeout=5, port=port)
        except (OSError, EOFError, dns.exception.DNSException):
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"does not answer: {log.read_text()}")
