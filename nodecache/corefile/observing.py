"""Options of the directives that log, measure and serve pages, as frozen data."""

from dataclasses import dataclass
from typing import Literal

from .destinations import TlsOptions

AnswerClass = Literal["all", "success", "denial", "error"]


@dataclass(frozen=True, slots=True)
class Consolidation:
    """Errors that match `pattern` are counted for `seconds` and logged in one line."""

    seconds: float
    pattern: str
    level: Literal["error", "warning", "info", "debug"] = "error"
    show_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsOptions:
    """`errors`."""

    consolidations: tuple[Consolidation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthOptions:
    """`health`."""

    address: str = ":8080"
    lameduck_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusOptions:
    """`prometheus`."""

    address: str = "localhost:9153"
    tls_config_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyOptions:
    """`ready`."""

    address: str = ":8181"
    monitor: Literal["until-ready", "continuously"] = "until-ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """One `log` rule: the first whose names hold the qname decides."""

    names: tuple[str, ...] = (".",)
    format: str
    """`{common}` and `{combined}` already spelled out."""
    classes: frozenset[AnswerClass] = frozenset({"all"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DnstapOptions:
    """One `dnstap` line: connects to `address`, or (`is_listener`) accepts connections there."""

    transport: Literal["unix", "tcp", "tls"]
    address: str
    """A socket's path, or `host:port`."""
    is_listener: bool = False
    is_full: bool = False
    """Whether frames carry the messages themselves."""
    write_buffer_mib: int = 1
    queue_messages: int = 10_000
    identity: str | None = None
    """None: the host's name."""
    version: str | None = None
    """None: our own."""
    extra: str = ""
    skip_verify: bool = False
    tls: TlsOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataOptions:
    """`metadata`. Empty `zones` are the block's own."""

    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PprofOptions:
    """`pprof`."""

    address: str = "localhost:6053"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """`trace`."""

    endpoint_type: Literal["zipkin", "datadog"] = "zipkin"
    endpoint: str = "http://localhost:9411/api/v2/spans"
    every: int = 1
    service: str = "coredns"
    zipkin_max_backlog_size: int | None = None
    zipkin_max_batch_size: int | None = None
    zipkin_max_batch_seconds: float | None = None
