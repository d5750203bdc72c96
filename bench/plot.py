"""Draws bar charts as SVG: one panel a case, one bar a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

PANEL_WIDTH = 360
PANELS_PER_ROW = 3
LABEL_WIDTH = 100
VALUE_WIDTH = 44
BAR_HEIGHT = 15
ROW_HEIGHT = 21
HEAD_HEIGHT = 40
MARGIN = 18
TITLE_HEIGHT = 58

OURS = "#1f77b4"
ORIGINAL = "#d62728"
FLOOR = "#2ca02c"
OTHERS = "#b8bec6"
COLOURS = {"nodecache": OURS, "original": ORIGINAL, "floor": FLOOR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart: bars in the order given, None for a server that was not measured."""

    title: str
    unit: str
    bars: Sequence[tuple[str, float | None]]


def _text(
    x: float, y: float, text: str, *, size: int = 12, anchor: str = "start", weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )


def _value_text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _bar(name: str, value: float | None, x: float, y: float, width: float) -> list[str]:
    colour = COLOURS.get(name, OTHERS)
    weight = "bold" if name == "nodecache" else "normal"
    left = x + LABEL_WIDTH
    baseline = y + BAR_HEIGHT - 3
    parts = [_text(left - 6, baseline, name, anchor="end", weight=weight)]
    if value is not None:
        parts.append(
            f'<rect x="{left}" y="{y}" width="{max(1.0, width):.1f}" height="{BAR_HEIGHT}" '
            f'fill="{colour}" rx="2"/>'
        )
    parts.append(_text(left + width + 5, baseline, _value_text(value), size=11, weight=weight))
    return parts


def _floor_line(panel: Panel, x: float, y: float, scale: float) -> list[str]:
    floor = dict(panel.bars).get("floor")
    if floor is None:
        return []
    at = x + LABEL_WIDTH + floor * scale
    bottom = y + len(panel.bars) * ROW_HEIGHT
    line = f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y - 4}" y2="{bottom}"'
    return [f'{line} stroke="{FLOOR}" stroke-dasharray="3 3"/>']


def _panel(panel: Panel, x: float, y: float) -> list[str]:
    room = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH - MARGIN
    most = max((value for _, value in panel.bars if value is not None), default=1.0)
    scale = room / (most or 1.0)
    parts = [
        _text(x + 4, y + 14, panel.title, size=13, weight="bold"),
        _text(x + 4, y + 30, panel.unit, size=11),
    ]
    top = y + HEAD_HEIGHT
    parts += _floor_line(panel, x, top, scale)
    for row, (name, value) in enumerate(panel.bars):
        parts += _bar(name, value, x, top + row * ROW_HEIGHT, (value or 0.0) * scale)
    return parts


def draw(title: str, subtitle: str, panels: Sequence[Panel]) -> str:
    """The whole picture as SVG text."""
    height = HEAD_HEIGHT + max(len(panel.bars) for panel in panels) * ROW_HEIGHT + MARGIN
    rows = -(-len(panels) // PANELS_PER_ROW)
    whole = (PANELS_PER_ROW * PANEL_WIDTH + 2 * MARGIN, TITLE_HEIGHT + rows * height + MARGIN)
    size = f'width="{whole[0]}" height="{whole[1]}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" fill="#1b1f24">',
        f'<rect {size} fill="#ffffff"/>',
        _text(MARGIN, 26, title, size=17, weight="bold"),
        _text(MARGIN, 44, subtitle, size=11),
    ]
    for number, panel in enumerate(panels):
        row, column = divmod(number, PANELS_PER_ROW)
        parts += _panel(panel, MARGIN + column * PANEL_WIDTH, TITLE_HEIGHT + row * height)
    return "\n".join([*parts, "</svg>\n"])
