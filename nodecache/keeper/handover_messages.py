"""The messages between two keepers (`handover.py`), and the data in them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nodecache.process.listen import ListenAddress
from nodecache.process.messages import Form, MessageForms, addresses, flag, text, whole
from nodecache.process.protocol import PAGES

PROTOCOL = 2
MAX_ADDRESSES = 126  # two sockets each; a message carries 253 descriptors (SCM_MAX_FD)

FORMS = MessageForms(
    of={
        "hello": Form({"protocol": whole, "version": text(100)}),
        "sockets": Form(
            {"protocol": whole, "addresses": addresses(MAX_ADDRESSES), "makes_rules": flag},
            descriptors=range(0, 2 * MAX_ADDRESSES + 1, 2),
        ),
        "no": Form({"why": text(200)}),
        "take": Form({"addresses": addresses(1_000), "pages": PAGES, "makes_rules": flag}),
        "yours": Form(),
        "retired": Form(),
        "cache": Form(descriptors=range(1, 2)),
    },
    max_octets=65_536,
    is_of_any_version=True,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What an agent takes over of a node; its predecessor keeps the rest."""

    addresses: frozenset[ListenAddress]
    pages: frozenset[str]
    """HOST:PORT of metrics, health and the like."""
    makes_rules: bool

    def to_fields(self) -> dict[str, Any]:
        """As JSON has it."""
        pages = sorted(self.pages)
        return {
            "addresses": to_fields(self.addresses),
            "pages": pages,
            "makes_rules": self.makes_rules,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Claim":
        """Read what `to_fields` wrote."""
        listening = frozenset(from_fields(fields))
        return cls(listening, frozenset(fields["pages"]), fields["makes_rules"])


def to_fields(addresses: Iterable[ListenAddress]) -> list[tuple[str, int]]:
    """Addresses as JSON has them."""
    return [(address.host, address.port) for address in addresses]


def from_fields(fields: Mapping[str, Any]) -> list[ListenAddress]:
    """The addresses in a message."""
    return [ListenAddress(host, port) for host, port in fields["addresses"]]
