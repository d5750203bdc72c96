"""`metadata`: lets directives attach values to a query for others: `{/forward/upstream}` in a log line."""

from collections.abc import Iterable

from nodecache.server.directive import Client
from nodecache.server.zone_names import ZoneNames
from nodecache.wire import Query

UPSTREAM = "forward/upstream"


class Metadata:
    """Has metadata collected for queries for names in `zones`."""

    name = "metadata"

    def __init__(self, zones: Iterable[str]) -> None:
        self._zones = ZoneNames(zones)

    def serve(self, query: Query, client: Client) -> None:
        """Give the client's query an empty dict of metadata."""
        if self._zones.match(query.qname) is not None:
            client.metadata = {}


def note(client: Client, label: str, value: str) -> None:
    """Store `value` under `label`, if metadata is collected for this query."""
    if client.metadata is not None:
        client.metadata[label] = value


def noted(client: Client, label: str) -> str:
    """The value of `label`, or ""."""
    return client.metadata.get(label, "") if client.metadata is not None else ""
