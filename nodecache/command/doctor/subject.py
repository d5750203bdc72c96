"""What the checks read: the agent's command line, files of the node, its metrics page."""

import http.client
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nodecache.config.flags import Flags
from nodecache.corefile import Corefile
from nodecache.corefile.values import split_host_port

_PAGE_SECONDS = 1.0

Sample = tuple[Mapping[str, str], float]


class Metrics:
    """A page of metrics, read."""

    def __init__(self, text: str) -> None:
        from prometheus_client.parser import (  # noqa: PLC0415 - few ask for it
            text_string_to_metric_families,
        )

        self._samples: dict[str, list[Sample]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def each(self, name: str) -> Iterator[Sample]:
        """Every series of that name."""
        yield from self._samples.get(name, ())

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series of that name that have these labels; 0 for none."""
        return sum(
            value for found, value in self.each(name) if labels.items() <= dict(found).items()
        )

    def age_seconds(self) -> float:
        """How long the agent has run."""
        return time.time() - self.total("process_start_time_seconds")

    def has(self, name: str) -> bool:
        """Whether the page tells it."""
        return name in self._samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`root` is the root of the node's files; `metrics` is None where no agent answers."""

    flags: Flags
    env: Mapping[str, str]
    root: Path
    metrics: Metrics | None
    is_silent: bool = False
    """Somebody is there, and does not answer."""
    corefile: Corefile | None
    """None where it cannot be read."""
    run: Callable[[tuple[str, ...]], str | None]
    """Runs a program that lists something; what it printed, None where it cannot be run."""

    def read(self, path: str) -> str | None:
        """The text of a file of the node; None if it is missing or may not be read."""
        try:
            return (self.root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None


def metrics_of(flags: Flags) -> Metrics | None:
    """The metrics of the agent with these flags; None without an agent. Raises TimeoutError if it hangs."""
    try:
        host, port = split_host_port(flags.metrics_listen_address)
        host = host if host not in ("", "0.0.0.0", "::") else "127.0.0.1"
        # Not urllib: it would ask the proxy that the environment names.
        connection = http.client.HTTPConnection(host, int(port), timeout=_PAGE_SECONDS)
    except ValueError:  # no address, where nobody listens
        return None
    try:
        try:
            connection.connect()
        except TimeoutError:  # nobody has the address
            return None
        connection.request("GET", "/metrics")
        return Metrics(connection.getresponse().read().decode())
    except TimeoutError:
        raise
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
