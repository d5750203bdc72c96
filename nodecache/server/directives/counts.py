"""Counts of directives, in a module of their own so that reading them imports no directive."""

from collections import Counter
from dataclasses import dataclass, field

Labels = tuple[str, ...]


@dataclass(slots=True)
class DirectiveCounts:
    """Counts of the directives of all blocks, by label values; they outlive reloads."""

    template_matches: Counter[Labels] = field(default_factory=Counter)
    """By server, zone, view, class and type."""
    template_failures: Counter[Labels] = field(default_factory=Counter)
    """By the same, section and template."""
    template_rr_failures: Counter[Labels] = field(default_factory=Counter)
    dns64_translated: Counter[str] = field(default_factory=Counter)
    """Answers made by dns64, by server."""
    acl: Counter[Labels] = field(default_factory=Counter)
    """By what became of the query (`allow`, `block`, `filter`, `drop`), server and zone."""
