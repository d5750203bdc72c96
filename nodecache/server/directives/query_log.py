"""`log`: a line for every query."""

import logging
from collections.abc import Callable, Iterable, Sequence

from nodecache.corefile import LogOptions
from nodecache.server.directive import AskNext, Client, Steps
from nodecache.server.mnemonics import class_text, type_text
from nodecache.server.zone_names import ZoneNames
from nodecache.wire import Query, text_of

from .log_format import LogFormat, LoggedQuery, reply_kind
from .metadata import note


class _Rule:
    """One `log` line of the Corefile, ready to use."""

    __slots__ = ("classes", "format", "names")

    def __init__(self, options: LogOptions) -> None:
        self.names = ZoneNames(options.names)
        self.format = LogFormat(options.format)
        self.classes: frozenset[str] = options.classes

    def wants(self, word: str) -> bool:
        """Whether replies of this class are logged."""
        return "all" in self.classes or word in self.classes


class QueryLog:
    """Logs queries by the first rule whose names hold the qname, through `logger`.

    `clock` is monotonic seconds. Lines carry the same as `fields` too, for logs in JSON.
    """

    name = "log"

    def __init__(
        self, rules: Sequence[LogOptions], logger: logging.Logger, clock: Callable[[], float]
    ) -> None:
        self._rules = [_Rule(options) for options in rules]
        self._logger = logger
        self._clock = clock

    def serve(self, query: Query, client: Client) -> Steps | None:
        """Pass the query on, and log it with its reply."""
        for rule in self._rules:
            if rule.names.match(query.qname) is not None:
                return self._logged(rule, query, client)
        return None

    def _logged(self, rule: _Rule, query: Query, client: Client) -> Steps:
        started_at = self._clock()
        result = yield AskNext(query)
        kind = reply_kind(query, result)
        note(client, "log/type", kind.type_word)
        note(client, "log/class", kind.word)
        if rule.wants(kind.word) and self._logger.isEnabledFor(logging.INFO):
            logged = LoggedQuery(query, client, result, self._clock() - started_at)
            self._write(rule.format.filled(logged), logged)
        return result

    def _write(self, line: str, logged: LoggedQuery) -> None:
        """Log a record made here: `Logger.info` costs twice as much."""
        record = logging.LogRecord(self._logger.name, logging.INFO, "", 0, line, None, None)
        record.fields = _Fields(logged)
        self._logger.handle(record)


class _Fields:
    """The fields of a log line in JSON, computed only for such lines."""

    __slots__ = ("_logged_query",)

    def __init__(self, logged: LoggedQuery) -> None:
        self._logged_query = logged

    def keys(self) -> Iterable[str]:
        """The names of the fields: with `__getitem__`, all that `dict.update` asks for."""
        return _FIELDS.keys()

    def __getitem__(self, name: str) -> object:
        return _FIELDS[name](self._logged_query)


_RCODE = LogFormat("{rcode}")
_FIELDS: dict[str, Callable[[LoggedQuery], object]] = {
    "client": lambda logged: logged.client.host,
    "qname": lambda logged: text_of(logged.query.qname),
    "qtype": lambda logged: type_text(logged.query.qtype),
    "class": lambda logged: class_text(logged.query.rdclass),
    "proto": lambda logged: logged.client.transport,
    "rcode": _RCODE.filled,
    "duration_seconds": lambda logged: logged.seconds,
}
