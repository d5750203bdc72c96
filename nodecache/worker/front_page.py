"""The page for people at `/` of the metrics port: how the agent is, and its last ten minutes.

It tells what the metrics tell, and no more: no name that was asked for, and no client. Everything is in
the page itself; nothing is fetched from elsewhere, and no script runs.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from nodecache import __version__
from nodecache.metrics import Scrape
from nodecache.metrics.history import SAMPLE_SECONDS, History, Rates
from nodecache.process.build import code_form
from nodecache.process.vitals import KeeperVitals

CONTENT_TYPE = "text/html; charset=utf-8"
MEBI = 1 << 20
_WIDTH, _HEIGHT = 280, 64  # of a plot, in its own units
_STEPS = 60  # ten minutes
_SECOND = " class=second"  # the second line of a plot, and its value
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2530; --quiet: #5d6b7a; --paper: #f6f7f9; --card: #fff;
  --line: #dde2e8; --plot: #2563c9; --second: #b45309; --ok: #1a7f4b; --look: #b45309; --broken: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ed; --quiet: #97a3b0; --paper: #12161b;
  --card: #1b2128; --line: #2d353f; --plot: #6ea8ff; --second: #f0a35c; --ok: #5fcf95; --look: #f0a35c;
  --broken: #ff8a80 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif }
h1 { font-size: 1.35rem; margin: 0 } h2 { font-size: 1rem; margin: 1.6rem 0 .5rem }
header p, figcaption, th { color: var(--quiet) } header p { margin: .2rem 0 1rem }
.states { display: flex; flex-wrap: wrap; gap: .4rem; padding: 0; margin: 0 0 1rem; list-style: none }
.states li { border: 1px solid currentColor; border-radius: 1rem; padding: .1rem .7rem }
.ok { color: var(--ok) } .look { color: var(--look) } .broken { color: var(--broken) }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: .8rem }
figure { margin: 0; padding: .7rem; background: var(--card); border: 1px solid var(--line); border-radius: .4rem }
figcaption { font-size: .85rem } figcaption b { float: right; color: var(--ink) } b .second { color: var(--second); margin-left: .5rem }
svg { display: block; width: 100%; height: 4.5rem; margin-top: .3rem; overflow: visible }
svg path { fill: none; stroke: var(--plot); stroke-width: 1.6; vector-effect: non-scaling-stroke }
svg path.second { stroke: var(--second) } svg line { stroke: var(--line); vector-effect: non-scaling-stroke }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .4rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: right; padding: .3rem .7rem; white-space: nowrap }
th { font-weight: normal } th:first-child, td:first-child { text-align: left }
.wide { white-space: normal } tr + tr td { border-top: 1px solid var(--line) } td { font-variant-numeric: tabular-nums }
a { color: var(--plot) } nav { display: flex; flex-wrap: wrap; gap: .3rem 1rem }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """What the page tells besides counts and vitals."""

    seconds_up: float
    seconds_since_load: float
    missing: Sequence[str]
    """What `/ready` names."""
    addresses: Sequence[str]
    links: Sequence[str]


def front_page(scrape: Scrape, keeper: KeeperVitals, history: History, info: AgentInfo) -> str:
    """The whole page."""
    body = "".join(
        (
            _head(info),
            _states(scrape, keeper, info),
            _plots(history.rates()),
            _addresses(info, scrape),
            _upstreams(scrape),
            _caches(scrape),
            _links(info.links),
        )
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>nodecache</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )


def _head(info: AgentInfo) -> str:
    return (
        f"<header><h1>nodecache {escape(__version__)}</h1><p>{code_form()}, up for "
        f"{duration(info.seconds_up)}, "
        f"its configuration loaded {duration(info.seconds_since_load)} ago</p></header>"
    )


def _states(scrape: Scrape, keeper: KeeperVitals, info: AgentInfo) -> str:
    agent = scrape.agent
    states = [("ok", "ready")]
    if info.missing:
        states = [("broken", f"not ready: {', '.join(info.missing)}")]
    if agent.is_config_last_good:
        states.append(("look", "serving the last configuration that worked: today's is broken"))
    elif not agent.is_last_reload_good:
        states.append(("look", "a changed configuration was refused: the one before it is served"))
    else:
        states.append(("ok", "configuration in force"))
    if keeper.rules_backend not in ("", "none"):
        fails = {"socket": "fail open by the socket", "lease": "fail open by the lease"}
        told = fails.get(keeper.rules_fail_open, "are being made")
        states.append(("ok", f"packet rules ({keeper.rules_backend}) {told}"))
    if not keeper.lease.get("is_held", 1):
        states.append(("broken", "leased addresses given up: kube-dns answers"))
    if looping := [state.to for state in scrape.upstream_states if state.is_quarantined]:
        states.append(("look", f"left out: {', '.join(looping)}"))
    items = "".join(f'<li class="{level}">{escape(text)}</li>' for level, text in states)
    return f'<ul class="states">{items}</ul>'


# Plots


def _plots(rates: Sequence[Rates]) -> str:
    minutes = round(_STEPS * SAMPLE_SECONDS / 60)
    plots = (
        _plot("queries a second", rates, (lambda each: each.queries_per_second,), amount),
        _plot("from the cache", rates, (lambda each: each.hit_share,), percent, top=1.0),
        _plot(
            "p50, p99",
            rates,
            (lambda each: each.median, lambda each: each.p99),
            milliseconds,
        ),
        _plot("failures a second", rates, (lambda each: each.failures_per_second,), amount),
    )
    return f'<h2>The last {minutes} minutes</h2><div class="plots">{"".join(plots)}</div>'


Line = Callable[[Rates], float | None]


def _plot(
    title: str,
    rates: Sequence[Rates],
    lines: Sequence[Line],
    show: Callable[[float], str],
    top: float = 0.0,
) -> str:
    """One figure: each line's newest value in words, and its course. The right end is now."""
    rows = [[line(each) for each in rates] for line in lines]
    top = top or max((value for row in rows for value in row if value is not None), default=0.0)
    newest = [_newest(row, show) for row in rows]
    told = " ".join(
        f"<span{_SECOND if at else ''}>{escape(text)}</span>" for at, text in enumerate(newest)
    )
    label = escape(f"{title}: {' and '.join(newest)}; at most {show(top)}")
    paths = "".join(
        f'<path{_SECOND if at else ""} d="{_course(row, top)}"/>' for at, row in enumerate(rows)
    )
    return (
        f"<figure><figcaption>{escape(title)} <b>{told}</b></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">'
        f'<line x1="0" y1="{_HEIGHT}" x2="{_WIDTH}" y2="{_HEIGHT}"/>'
        f'<line x1="0" y1="0" x2="{_WIDTH}" y2="0"/>{paths}</svg>'
        f"<figcaption>0 to {escape(show(top))}</figcaption></figure>"
    )


def _newest(row: Sequence[float | None], show: Callable[[float], str]) -> str:
    return show(row[-1]) if row and row[-1] is not None else "-"


def _course(row: Sequence[float | None], top: float) -> str:
    """An SVG path; a gap where there is no value."""
    words: list[str] = []
    is_drawing = False
    for at, value in enumerate(row):
        if value is None:
            is_drawing = False
            continue
        x = _WIDTH * (1 - (len(row) - 1 - at) / (_STEPS - 1))
        y = _HEIGHT * (1 - value / top) if top else _HEIGHT
        words.append(f"{'L' if is_drawing else 'M'}{x:.1f} {y:.1f}")
        is_drawing = True
    return "".join(words)


# Tables


def _addresses(info: AgentInfo, scrape: Scrape) -> str:
    agent = scrape.agent
    budget = f" of {agent.cache_budget_octets / MEBI:.0f}" if agent.cache_budget_octets else ""
    rows = [
        ("listens at", ", ".join(info.addresses) or "-"),
        ("answers kept", f"{agent.cache_octets / MEBI:.1f}{budget} MiB"),
        ("finished replies", amount(agent.reply_table_entries)),
        ("waiting for upstreams", amount(agent.queries_in_flight)),
        ("refused for want of room", amount(agent.queries_shed)),
    ]
    return "<h2>Agent</h2>" + _table((), rows)


def _upstreams(scrape: Scrape) -> str:
    failures = {counts.to: counts.healthcheck_failures for counts in scrape.upstreams}
    rows = [
        (
            state.to,
            "left out" if state.is_quarantined else "asked",
            milliseconds(state.round_trip_seconds),
            amount(state.in_flight),
            amount(failures.get(state.to, 0)),
        )
        for state in sorted(scrape.upstream_states, key=lambda state: state.to)
    ]
    head = ("upstream", "", "round trip", "in flight", "failed probes")
    pods = ", ".join(f"{count} by {origin}" for origin, count in scrape.cluster_pods.items())
    told = f"<p>kube-dns' pods known: {escape(pods)}</p>" if pods else ""
    return "<h2>Upstreams</h2>" + _table(head, rows) + told


def _caches(scrape: Scrape) -> str:
    zones: dict[str, list[int]] = {}
    for cache in scrape.caches:
        row = zones.setdefault(cache.zones, [0] * 6)
        for at, count in enumerate(
            (
                cache.success_entries,
                cache.denial_entries,
                cache.hits_success + cache.hits_denial,
                cache.misses,
                cache.served_stale,
                cache.evictions_success + cache.evictions_denial,
            )
        ):
            row[at] += count
    head = ("zones", "answers", "denials", "hits", "misses", "stale", "evicted")
    rows = [(zone, *map(amount, row)) for zone, row in zones.items()]
    return "<h2>Cache</h2>" + _table(head, rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    wide = "" if head else ' class="wide"'
    body = "".join(
        f"<tr>{''.join(f'<td{wide}>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="scroll"><table>{f"<tr>{top}</tr>" if top else ""}{body}</table></div>'


def _links(links: Sequence[str]) -> str:
    items = "".join(
        f'<a href="{escape(link)}">{escape(link.removeprefix("http://"))}</a>' for link in links
    )
    return f"<h2>More</h2><nav>{items}</nav>"


# Words for numbers


def amount(value: float) -> str:
    """`12,345`, or `0.5` where a whole number would hide it."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def percent(value: float) -> str:
    """`97.3 %`."""
    return f"{value * 100:.1f} %"


def milliseconds(seconds: float) -> str:
    """`0.31 ms`."""
    return f"{seconds * 1000:.2f} ms" if seconds < 0.1 else f"{seconds * 1000:,.0f} ms"


def duration(seconds: float) -> str:
    """`3 d 4 h`, the two largest units."""
    left = int(max(0, seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
