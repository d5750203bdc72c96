"""`explain` at the control socket: explains a name or a pod's search list, or sends the queries."""

import asyncio
from collections.abc import AsyncGenerator
from time import monotonic
from typing import Any

from nodecache.config.cluster_dns import DEFAULT_DOMAIN
from nodecache.server.client_query import ClientQuery
from nodecache.wire import Query

from .control import Answer
from .control_request import MalformedRequest, Request
from .explaining import explain, query_for, route_of
from .search_path import node_search, search_path
from .serving import Serving

_ASKED_SECONDS = 6.0  # more than a block gives its upstreams
_RCODE_MASK = 15
_CLIENT = ("127.0.0.1", 0)


async def explained(serving: Serving, request: Request) -> AsyncGenerator[Answer, None]:
    """What would happen to the name, or to each one of a search list until one has an answer."""
    if not request.name:
        raise MalformedRequest("there is no name to explain")
    names = [request.name]
    if request.namespace:
        config = serving.config
        cluster = config.cluster_dns if config is not None else None
        domain = cluster.domain if cluster is not None else DEFAULT_DOMAIN
        names = search_path(request.name, request.namespace, domain, node_search())
    queries = [query_for(name, request.rdtype) for name in names]
    for step, query in enumerate(queries):
        told = explain(serving, query, monotonic())
        if request.is_asked:
            told["answer"] = await ask(serving, query)
        told |= {"step": step + 1, "steps": len(queries)}
        told["ends_search"] = ends_search(told)
        yield told
        if told["ends_search"]:
            return


def ends_search(told: Answer) -> bool:
    """Whether a resolver stops its search here: there are records, as far as is known."""
    if (answer := told.get("answer")) is not None:
        return bool(answer["rcode"] == 0 and answer["answers"])
    return told["outcome"] in ("hit", "stale") and told["cache"]["kind"] == "positive"


class _ReplyCapture:
    """A transport that keeps the reply of the one query that is asked with it."""

    name = "udp"

    def __init__(self, local: tuple[str, int]) -> None:
        self.local = local
        self.reply: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    def send(self, reply: bytes, address: Any) -> None:  # noqa: ARG002
        """Take the reply."""
        if not self.reply.done():
            self.reply.set_result(bytes(reply))

    def forget(self, address: Any) -> None:  # noqa: ARG002
        """Note that there will be no reply."""
        if not self.reply.done():
            self.reply.set_result(None)

    def note(self, packet: bytes, address: Any, now: float) -> int:  # noqa: ARG002
        """Note nothing in the journal."""
        return -1

    def unnote(self, slot: int) -> None:
        """Do nothing: nothing was noted."""


async def ask(serving: Serving, query: Query) -> Answer:
    """Ask as a client of this node would, with all that follows: counts, cache, upstreams."""
    found = route_of(serving, query)
    if found is None:
        return {"rcode": 5, "answers": 0, "milliseconds": 0.0, "from": "nobody", "reply": ""}
    listener = found[0]
    shape = listener.handler.zones.shape_of(query)
    assert shape is not None
    now = monotonic()
    capture = _ReplyCapture(listener.udp.local)
    client_query = ClientQuery(query, shape, capture, _CLIENT, now)
    shape.serve(client_query, now)
    is_at_once = capture.reply.done()
    try:
        async with asyncio.timeout(_ASKED_SECONDS):
            reply = await capture.reply
    except TimeoutError:
        reply = None
    told: Answer = {"milliseconds": round(1000 * (monotonic() - now), 2)}
    upstream = getattr(client_query, "upstream", None)
    if upstream is not None:
        told["from"] = upstream.to
    else:
        told["from"] = (
            "this node" if is_at_once else "upstream, by way of directives or an equal query"
        )
    if reply is None:
        return told | {"rcode": None, "answers": 0, "reply": ""}
    return told | {
        "rcode": reply[3] & _RCODE_MASK,
        "answers": int.from_bytes(reply[6:8], "big"),
        "reply": reply.hex(),
    }
