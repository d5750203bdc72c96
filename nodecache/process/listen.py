"""What is listened on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ListenAddress:
    """An address literal, or "" for every address, and a port."""

    host: str
    port: int

    @property
    def label(self) -> str:
        """CoreDNS's name for it in metrics: `dns://169.254.20.10:53`."""
        return f"dns://{self}"

    @property
    def is_wildcard(self) -> bool:
        """Whether a socket bound to it takes packets for every address."""
        return self.host in ("", "0.0.0.0", "::")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
