"""Counts of directives, in a module of their own so that reading them imports no directive."""

from dataclasses import dataclass, field

Labels = tuple[str, ...]


@dataclass(slots=True)
class DirectiveCounts:
    """Counts of the directives of all blocks, by label values; they outlive reloads."""

    template_matches: dict[Labels, int] = field(default_factory=dict)
    """By server, zone, view, class and type."""
    template_failures: dict[Labels, int] = field(default_factory=dict)
    """By the same, section and template."""
    template_rr_failures: dict[Labels, int] = field(default_factory=dict)
    dns64_translated: dict[str, int] = field(default_factory=dict)
    """Answers made by dns64, by server."""
    acl: dict[Labels, int] = field(default_factory=dict)
    """By what became of the query (`allow`, `block`, `filter`, `drop`), server and zone."""
