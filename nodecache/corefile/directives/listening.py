"""Directives about listening and the process: bind, timeouts, bufsize, reload, debug, loop."""

from nodecache.corefile import values
from nodecache.corefile.options import BindLine, ReloadOptions, TimeoutsOptions
from nodecache.corefile.reading import (
    ITSELF,
    Arguments,
    Context,
    Directive,
    Fields,
    Option,
    Repeat,
    Statement,
    bare,
    no_block,
    read_options,
    several,
)

_DEFAULT_BUFSIZE = 1232  # DNS flag day 2020
_MIN_INTERVAL_SECONDS = 2.0
_MIN_JITTER_SECONDS = 1.0
_MIN_TIMEOUT_SECONDS = 1.0
_MAX_TIMEOUT_SECONDS = 24 * 3600.0


def bind(statement: Statement, context: Context) -> BindLine:
    """`bind ADDR|IFACE… { except ADDR|IFACE… }`."""
    addresses = statement.arguments.rest("an address or interface", _listened_on, at_least=1)
    fields = read_options(statement, _BIND, context)
    return BindLine(addresses, **fields)


def _listened_on(word: str) -> str:
    """An address, or what may be an interface's name: no kernel has one with `:` or `/`."""
    if not values.is_ip(word) and any(character in word for character in ":/,"):
        raise ValueError(f"must be such as 169.254.20.10, fd00::10 or eth0, not {word!r}")
    return word


_BIND = {"except": several("except_addresses", _listened_on)}


def bufsize(statement: Statement, _: Context) -> int:
    """`bufsize [OCTETS]`."""
    arguments = statement.arguments
    octets = arguments.take_or("size", values.whole(512, 4096), _DEFAULT_BUFSIZE)
    arguments.end()
    no_block(statement)
    return octets


def reload(statement: Statement, _: Context) -> ReloadOptions:
    """`reload [INTERVAL] [JITTER]`; the jitter is at most half the interval."""
    arguments = statement.arguments
    default = ReloadOptions()
    interval = arguments.take_or(
        "interval", values.duration(_MIN_INTERVAL_SECONDS), default.interval_seconds
    )
    jitter = arguments.take_or("jitter", _jitter, default.jitter_seconds)
    arguments.end()
    no_block(statement)
    return ReloadOptions(interval_seconds=interval, jitter_seconds=min(jitter, interval / 2))


def _jitter(word: str) -> float:
    seconds = values.go_duration(word)
    if seconds != 0 and seconds < _MIN_JITTER_SECONDS:
        raise ValueError(f"must be 0 or at least 1s, not {word!r}")
    return seconds


def timeouts(statement: Statement, context: Context) -> TimeoutsOptions:
    """`timeouts { read D; write D; idle D; maxtcpqueries N }`, with at least one of them."""
    statement.arguments.end()
    if not statement.lines:
        raise statement.arguments.fault("no timeout is given")
    return TimeoutsOptions(**read_options(statement, _TIMEOUTS, context))


def _timeout(name: str) -> Option:
    def read(arguments: Arguments) -> Fields:
        return {name: arguments.take(ITSELF, _seconds_or_duration)}

    return Option(read)


def _seconds_or_duration(word: str) -> float:
    """A bare number is seconds here, unlike everywhere else."""
    if word.isascii() and word.isdigit():
        word += "s"
    return values.duration(_MIN_TIMEOUT_SECONDS, _MAX_TIMEOUT_SECONDS)(word)


def _queries(word: str) -> int:
    number = values.integer(word)
    if number < -1 or number == 0:
        raise ValueError(f"must be above 0, or -1 for no limit, not {word!r}")
    return number


_TIMEOUTS = {
    "read": _timeout("read_seconds"),
    "write": _timeout("write_seconds"),
    "idle": _timeout("idle_seconds"),
    "maxtcpqueries": Option(
        lambda arguments: {"max_tcp_queries": arguments.take(ITSELF, _queries)}
    ),
}

DIRECTIVES = {
    "timeouts": Directive("timeouts", timeouts),
    "reload": Directive("reload", reload, Repeat.FIRST),
    "bufsize": Directive("bufsize", bufsize, Repeat.FIRST),
    "bind": Directive("bind", bind, Repeat.EACH),
    "debug": Directive("debug", bare, Repeat.FIRST),
    "loop": Directive("loop", bare),
}
