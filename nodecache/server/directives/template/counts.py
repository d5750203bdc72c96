"""What `template` counts: here, so that counting needs none of what filling in takes."""

from dataclasses import dataclass, field

Labels = tuple[str, ...]


@dataclass(slots=True)
class TemplateCounts:
    """Labels as of the metrics: server, zone, view, class, type (and section, template)."""

    matches: dict[Labels, int] = field(default_factory=dict)
    failures: dict[Labels, int] = field(default_factory=dict)
    rr_failures: dict[Labels, int] = field(default_factory=dict)
