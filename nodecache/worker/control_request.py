"""What may be asked at the control socket: one line, read strictly."""

import json
from dataclasses import dataclass
from typing import get_type_hints

MAX_REQUEST_OCTETS = 4096
MIN_SECONDS = 0.1
MAX_SECONDS = 60.0
_MAX_TYPE = 0xFFFF


class MalformedRequest(ValueError):
    """A request that breaks a rule, in a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked. `seconds` is the time between two samples of `top`.

    `namespace` is that of the pod whose search list `name` is looked for in, "" for none;
    `is_asked` says that the question is to be asked, and not only explained.
    """

    command: str
    name: str = ""
    rdtype: int = 1
    namespace: str = ""
    is_asked: bool = False
    seconds: float = 1.0


_TYPES = get_type_hints(Request) | {"seconds": int | float}  # JSON writes a whole number as one


def read_request(line: bytes) -> Request:
    """The request in a line. MalformedRequest where it is none."""
    if not line.endswith(b"\n"):
        raise MalformedRequest("the request has no end")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise MalformedRequest("the request is not JSON") from None
    if not isinstance(fields, dict) or "command" not in fields:
        raise MalformedRequest("the request names no command")
    for name, value in fields.items():
        expected = _TYPES.get(name)
        if expected is None:
            raise MalformedRequest(f"there is no field {name!r}")
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise MalformedRequest(f"{name} is of another type")
    request = Request(**fields)
    if not 0 < request.rdtype <= _MAX_TYPE:
        raise MalformedRequest(f"rdtype must be 1 to 65535, not {request.rdtype}")
    if not MIN_SECONDS <= request.seconds <= MAX_SECONDS:
        raise MalformedRequest(f"seconds must be 0.1 to 60, not {request.seconds}")
    return request
