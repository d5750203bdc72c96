"""Counts of `template`, in a module of their own so that reading them does not import the template engine."""

from dataclasses import dataclass, field

Labels = tuple[str, ...]


@dataclass(slots=True)
class TemplateCounts:
    """Labels as of the metrics: server, zone, view, class, type (and section, template)."""

    matches: dict[Labels, int] = field(default_factory=dict)
    failures: dict[Labels, int] = field(default_factory=dict)
    rr_failures: dict[Labels, int] = field(default_factory=dict)
