"""The packet rules as the original writes them."""

from collections.abc import Iterable
from dataclasses import replace

from nodecache.host import Rule


def as_the_original(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The same rules without the matches that we add, and without fallbacks."""
    return tuple(
        replace(rule, is_local_only=False, is_bound_only=False)
        for rule in rules
        if rule.target != "DNAT"
    )
