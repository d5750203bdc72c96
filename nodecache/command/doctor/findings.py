"""The findings of checks, and their output."""

import dataclasses
import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass


class Level(enum.IntEnum):
    """The level of a finding; the worst is the command's exit status."""

    OK = 0
    LOOK = 1
    BROKEN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check; the last two are empty if it is ok."""

    area: str
    level: Level
    what: str
    for_pods: str = ""
    """What it means for those who ask."""
    mend: str = ""
    """The command or line that mends it."""


def ok(area: str, what: str) -> Finding:
    """All is well."""
    return Finding(area=area, level=Level.OK, what=what)


def look(area: str, what: str, for_pods: str, mend: str) -> Finding:
    """Works, and somebody should look."""
    return Finding(area=area, level=Level.LOOK, what=what, for_pods=for_pods, mend=mend)


def broken(area: str, what: str, for_pods: str, mend: str) -> Finding:
    """Does not work."""
    return Finding(area=area, level=Level.BROKEN, what=what, for_pods=for_pods, mend=mend)


def worst(findings: Sequence[Finding]) -> int:
    """0, 1 or 2."""
    return int(max((finding.level for finding in findings), default=Level.OK))


def as_text(findings: Sequence[Finding]) -> str:
    """For people: a line each, and two more below what is not well."""
    width = max((len(finding.area) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{finding.level.name.lower():<7} {finding.area:<{width}}  {finding.what}")
        below = " " * (8 + width)
        if finding.for_pods:
            lines.append(f"{below}  for pods: {finding.for_pods}")
        if finding.mend:
            lines.append(f"{below}  mend: {finding.mend}")
    counts = [sum(finding.level is level for finding in findings) for level in Level]
    lines.append(f"{counts[0]} ok, {counts[1]} to look at, {counts[2]} broken")
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """For scripts: `{"status": 1, "findings": [{"area": …, "level": "look", …}]}`."""
    told = [
        {**dataclasses.asdict(finding), "level": finding.level.name.lower()} for finding in findings
    ]
    return json.dumps({"status": worst(findings), "findings": told}, indent=1)
