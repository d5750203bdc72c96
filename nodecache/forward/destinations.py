"""The destinations of a `forward`: addresses, resolv.conf files, host names.

Files are checked once a second. Names are resolved again when their addresses expire, and every
second while none of them answers. Changes reach the forwarder at once. A file that cannot be read, or
names no server, changes nothing: the last good one is used. What the forwarder cannot take is offered
again a second later.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from .runtime import Endpoint, Runtime, Timer

log = logging.getLogger("plugin/forward")

_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class HostName:
    """An upstream known by name: `endpoint.host` is the name, in lower case."""

    endpoint: Endpoint


class NameserverFile(Protocol):
    """A file in the form of resolv.conf(5)."""

    @property
    def path(self) -> str:
        """Its path."""

    def stamp(self) -> object:
        """A value that changes when the file does, also when a link is switched, or there is none."""

    def read(self) -> Sequence[Endpoint]:
        """Its nameservers. OSError where it cannot be read."""


Destination = Endpoint | HostName | NameserverFile


class HostAddresses(Protocol):
    """The addresses of host names, kept up to date."""

    def addresses(self, name: str) -> Sequence[str]:
        """The addresses known now; the name is resolved again from now on."""

    def refresh(self, name: str) -> None:
        """Resolve the name now."""

    def close(self) -> None:
        """Stop asking."""


def _unknown(_: Endpoint) -> bool:
    """Whether an endpoint is silent, where nobody asks it."""
    return False


class Destinations:
    """The endpoints of one directive, kept up to date.

    `make_names` gets what to call when an address changes; it is used only where there are host
    names. OSError where a file cannot be read, or an upstream not be asked, at the start: better a
    clear error than a zone without upstreams. But where `waits`, nothing is served if this is not:
    then what is missing is logged, and looked for every second.
    """

    def __init__(
        self,
        destinations: Sequence[Destination],
        make_names: Callable[[Callable[[], None]], HostAddresses] | None = None,
        *,
        waits: bool = False,
    ) -> None:
        self._waits = waits
        self._destinations = destinations
        self._make_names = make_names
        self._files: dict[str, tuple[object, Sequence[Endpoint]]] = {}
        for destination in destinations:
            if not isinstance(destination, Endpoint | HostName):
                self._files[destination.path] = (destination.stamp(), self._first(destination))
        self._names: HostAddresses | None = None
        self._told: Sequence[Endpoint] = ()
        self._fault = ""
        self._tell: Callable[[Sequence[Endpoint]], None] | None = None
        self._is_silent: Callable[[Endpoint], bool] = _unknown
        self._timer: Timer | None = None

    def follow(
        self,
        tell: Callable[[Sequence[Endpoint]], None],
        runtime: Runtime,
        is_silent: Callable[[Endpoint], bool],
    ) -> None:
        """Call `tell` with the endpoints now, and whenever they change; `is_silent` says which do not answer."""
        self._tell = tell
        self._is_silent = is_silent
        if self._make_names is not None and any(
            isinstance(destination, HostName) for destination in self._destinations
        ):
            self._names = self._make_names(self._update)
        if self._waits:
            self._update()
        else:
            self._announce()
        if self._waits or self._files or self._names is not None:
            self._poll_files(runtime)

    def close(self) -> None:
        """Stop following; the follower is forgotten."""
        self._tell = None
        self._is_silent = _unknown
        if self._timer is not None:
            self._timer.cancel()
        if self._names is not None:
            self._names.close()
            self._names = None

    def _poll_files(self, runtime: Runtime) -> None:
        def look() -> None:
            self._poll_files(runtime)
            self.look()

        self._timer = runtime.call_later(_LOOK_SECONDS, look)

    def look(self) -> None:
        """Read again the files that changed; resolve again the names whose addresses are all silent."""
        for destination in self._destinations:
            if isinstance(destination, Endpoint):
                continue
            if isinstance(destination, HostName):
                self._refresh_if_silent(destination.endpoint)
                continue
            stamp, known = self._files[destination.path]
            if (new_stamp := destination.stamp()) != stamp:
                self._files[destination.path] = (new_stamp, self._read(destination) or known)
        self._update()

    def _refresh_if_silent(self, named: Endpoint) -> None:
        """It may have moved: CoreDNS, which resolves it at its start only, would not see that."""
        resolved = self._resolved(named)
        if self._names and resolved and all(map(self._is_silent, resolved)):
            self._names.refresh(named.host)

    def _first(self, file: NameserverFile) -> Sequence[Endpoint]:
        try:
            endpoints = file.read()
        except OSError as error:
            if not self._waits:
                raise
            log.error("%s cannot be read: %s", file.path, error)
            return ()
        if not endpoints:
            log.warning("%s names no nameserver", file.path)
        return endpoints

    def _read(self, file: NameserverFile) -> Sequence[Endpoint]:
        try:
            endpoints = file.read()
        except OSError as error:
            log.warning("%s cannot be read, its last nameservers stay: %s", file.path, error)
            return ()
        if not endpoints:
            log.warning("%s names no nameserver, the last ones stay", file.path)
        return endpoints

    def _endpoints(self) -> Sequence[Endpoint]:
        found: dict[Endpoint, None] = {}
        for destination in self._destinations:
            if isinstance(destination, Endpoint):
                found[destination] = None
            elif isinstance(destination, HostName):
                found.update(dict.fromkeys(self._resolved(destination.endpoint)))
            else:
                found.update(dict.fromkeys(self._files[destination.path][1]))
        return tuple(found)

    def _resolved(self, named: Endpoint) -> Sequence[Endpoint]:
        if self._names is None:
            return ()
        name = named.server_name or named.host.rstrip(".")
        return [
            replace(named, host=address, server_name=name if named.is_tls else "")
            for address in self._names.addresses(named.host)
        ]

    def _update(self) -> None:
        """Announce changed endpoints; where the forwarder refuses them, the ones before stay."""
        try:
            self._announce()
        except (OSError, ValueError) as error:
            self._log_fault(str(error))

    def _log_fault(self, fault: str) -> None:
        """Say once why the endpoints cannot be asked, not with each try."""
        if fault == self._fault:
            return
        self._fault = fault
        if self._told:
            log.warning("upstreams stay as they were: %s", fault)
        else:
            log.error("%s cannot be asked: %s", " ".join(map(str, self._endpoints())), fault)

    def _announce(self) -> None:
        endpoints = self._endpoints()
        if self._tell is not None and endpoints != self._told:
            self._tell(endpoints)
            self._fault = ""
            if self._told:
                log.info("upstreams are now %s", " ".join(map(str, endpoints)))
            self._told = endpoints
