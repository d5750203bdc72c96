"""`metadata`: lets directives leave notes on a query for others: `{/forward/upstream}` in a log line."""

from collections.abc import Iterable

from nodecache.server.directive import Client
from nodecache.server.dns_name import ZoneNames
from nodecache.wire import Query

UPSTREAM = "forward/upstream"


class Metadata:
    """Opens the notebook for queries in `zones`; without it nothing is noted."""

    name = "metadata"

    def __init__(self, zones: Iterable[str]) -> None:
        self._zones = ZoneNames(zones)

    def serve(self, query: Query, client: Client) -> None:
        """Give the client's query an empty notebook."""
        if self._zones.match(query.qname) is not None:
            client.metadata = {}


def note(client: Client, label: str, value: str) -> None:
    """Write `value` under `label`, where there is a notebook."""
    if client.metadata is not None:
        client.metadata[label] = value


def noted(client: Client, label: str) -> str:
    """What stands under `label`, or an empty text."""
    return client.metadata.get(label, "") if client.metadata is not None else ""
