"""`loop`: counts how often a question of our own comes back to us.

Somebody (the agent) asks `HINFO probe_name` of our own listen address once. It goes upstream, and an
upstream that leads back here hands it in again and again.
"""

import logging
from collections.abc import Callable

from nodecache.wire import Query, Rdtype

from .chain import Client
from .dns_name import wire_of

log = logging.getLogger("plugin/loop")

# Our own question is the first sighting; a retry of it could be the second.
_MOST_SIGHTINGS = 2


class Loop:
    """Watches for the probe of `zone_name`; calls `found` once if it goes round.

    `random_number` gives 63 bits nobody can guess, or anybody could make us see loops.
    """

    name = "loop"

    def __init__(
        self,
        zone_name: str,
        random_number: Callable[[], int],
        found: Callable[["Loop", Client], None],
    ) -> None:
        self.zone_name = zone_name
        self.probe_name = f"{random_number()}.{random_number()}.{zone_name.lstrip('.')}"
        self.sightings = 0
        self.is_active = True
        self._found = found
        self._qname = wire_of(self.probe_name.lower())

    def visit(self, query: Query, client: Client) -> None:
        """Count the probe; everything passes on."""
        if query.qtype != Rdtype.HINFO or not self.is_active or query.qname != self._qname:
            return
        self.sightings += 1
        if self.sightings > _MOST_SIGHTINGS:
            self.is_active = False
            log.error(
                'loop (%s -> %s) detected for zone "%s", see '
                'https://coredns.io/plugins/loop#troubleshooting. Query: "HINFO %s"',
                client.host,
                client.local_host,
                self.zone_name,
                self.probe_name,
            )
            self._found(self, client)

    def begin_again(self) -> None:
        """Forget what was seen: the probe is about to be sent once more."""
        self.sightings = 0
        self.is_active = True

    def end(self) -> None:
        """Stop counting: the probe had its time."""
        self.is_active = False
