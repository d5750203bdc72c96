"""Why replies of the original and of nodecache differ, where they do: docs/differences.md, as rules.

Each reason is what the table there says of the original; a test holds the two together.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

_RECORDS = ("answer", "authority", "additional")
_COPIED_FLAGS = ("RD", "CD")


@dataclass(frozen=True)
class Difference:
    """One thing that the two say differently, of one query."""

    case: str
    query: str
    what: str
    original: str
    ours: str


def explanation(difference: Difference) -> str:
    """What docs/differences.md says of it; empty where it says nothing."""
    return next((reason for reason, fits in REASONS.items() if fits(difference)), "")


def _asks(difference: Difference, *words: str) -> bool:
    return any(word in difference.query for word in words)


def _is_letters(difference: Difference) -> bool:
    return difference.what in _RECORDS and difference.original.lower() == difference.ours.lower()


def _is_negative_ttl(difference: Difference) -> bool:
    """The SOA's minimum is 5 for the root and 60 for example.org in these tests."""
    return difference.what.endswith(" TTLs") and difference.ours in ("[5]", "[4]", "[60]", "[59]")


def _is_cut(difference: Difference) -> bool:
    """The big answers: which records of a shuffled set fit is chance."""
    return _asks(difference, "big.", "many.") and "UDP" in difference.query


def _is_remembered_failure(difference: Difference) -> bool:
    return difference.what in ("AA", "RA") and _asks(difference, "servfail", "notimp")


def _is_rewritten_elsewhere(difference: Difference) -> bool:
    is_about = _asks(difference, "rcode-servfail.", "alias.")
    return difference.case == "rewrite kinds" and is_about and difference.what != "answer TTLs"


REASONS: dict[str, Callable[[Difference], bool]] = {
    "Records of a hit are named in the letters of the client that asked first.": _is_letters,
    "A negative answer is kept for the lowest TTL among its records.": _is_negative_ttl,
    "A client without EDNS gets an empty reply with TC for what upstream cut.": _is_cut,
    "RD and CD of a reply are what upstream copied.": lambda d: d.what in _COPIED_FLAGS,
    "the class is no part of the cache's key": lambda d: _asks(d, " CH "),
    "With no A record to be had, `dns64` answers NOERROR without records.": (
        lambda d: d.case == "dns64" and d.what == "AA" and _asks(d, "text.")
    ),
    "FORMERR, NOTIMP and BADVERS go to the client, also where they are for EDNS.": (
        lambda d: _asks(d, "badvers.")
    ),
    "AXFR and IXFR are forwarded.": lambda d: _asks(d, "AXFR"),
    "NOTIFY is handled like a query.": lambda d: d.query.startswith("NOTIFY"),
    "A SERVFAIL or NOTIMP that is remembered comes with AA, and with RA as upstream had it.": (
        _is_remembered_failure
    ),
    "An error of its own comes without RA.": lambda d: d.what == "RA" and d.ours == "True",
    "`acl` sends an OPT with its Extended DNS Error to clients that sent none.": (
        lambda d: d.case == "acl" and d.what in ("OPT", "options") and "EDNS" not in d.query
    ),
    "NSID, cookies, padding and the like are echoed from the query.": (
        lambda d: d.what == "options" and d.ours == "[]"
    ),
    "The upstream's EDNS options never reach clients.": (
        lambda d: d.what == "options" and d.original == "[]" and d.ours == "['15']"
    ),
    "`rewrite rcode` needs a record in the reply; `rewrite cname exact` needs the last dot.": (
        _is_rewritten_elsewhere
    ),
}


def without_chance(record: str) -> str:
    """A record without what differs between two clients: the port that `whoami` tells."""
    return re.sub(r"(_(?:udp|tcp)\S* SRV 0 0) \d+", r"\1 PORT", record)
