"""A small authority for tests, made by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.needs import need


@dataclass(frozen=True)
class Certificates:
    """Files of an authority, of a server it vouches for, and of a client."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def make_certificates(folder: Path, server_name: str) -> Certificates:
    """The server's certificate says `server_name` and 127.0.0.1."""
    openssl = need("openssl", package="openssl")

    def run(*argv: str) -> None:
        subprocess.run([openssl, *argv], cwd=folder, check=True, capture_output=True)

    run("req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority",
        "-days", "30", "-addext", "basicConstraints=critical,CA:TRUE",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    for who, names in (("server", f"DNS:{server_name},IP:127.0.0.1"), ("client", "DNS:client")):
        (folder / f"{who}.ext").write_text(f"subjectAltName={names}\n")
        run("req", *_KEY, "-keyout", f"{who}.key", "-out", f"{who}.csr", "-subj", f"/CN={who}")
        run("x509", "-req", "-in", f"{who}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", f"{who}.pem", "-days", "30", "-extfile", f"{who}.ext")  # fmt: skip
    return Certificates(
        authority=folder / "ca.pem",
        server=folder / "server.pem",
        server_key=folder / "server.key",
        client=folder / "client.pem",
        client_key=folder / "client.key",
    )


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
