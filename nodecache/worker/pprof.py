"""`pprof`: text about the running worker, under the paths of Go's net/http/pprof.

The pages are for people, not for Go's tool. They are cheap to make: nothing is sampled.
"""

import asyncio
import gc
import resource
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from http import HTTPStatus

from nodecache.web.server import Page, Request, Response

PATH = "/debug/pprof"

_KIBIBYTE = 1024


def pages() -> Mapping[str, Page]:
    """The pages by path."""
    own = {"goroutine": _stacks, "heap": _allocations, "cmdline": _command_line}
    index = "\n".join([f"{PATH}/", *(f"    {name}" for name in sorted(own)), ""]).encode()

    async def index_page(_: Request) -> Response:
        return Response(HTTPStatus.OK, index)

    shown: dict[str, Page] = {PATH: index_page, f"{PATH}/": index_page}
    shown.update((f"{PATH}/{name}", page) for name, page in own.items())
    return shown


async def _stacks(_: Request) -> Response:
    """The stacks of all threads and tasks."""
    return Response(HTTPStatus.OK, "\n".join(_stack_lines()).encode())


def _stack_lines() -> Iterator[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():  # noqa: SLF001 (the documented way)
        yield f"thread {names.get(ident, ident)}:"
        yield "".join(traceback.format_stack(frame))
    for task in asyncio.all_tasks():
        yield f"task {task.get_name()}:"
        for frame in task.get_stack():
            yield "".join(traceback.format_stack(frame, limit=1))


async def _allocations(_: Request) -> Response:
    """Memory in use, and counts of the garbage collector."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    lines = [
        f"allocated blocks: {sys.getallocatedblocks()}",
        f"most resident memory: {usage.ru_maxrss * _KIBIBYTE} octets",
        f"frozen objects: {gc.get_freeze_count()}",
        f"young objects by generation: {gc.get_count()}, collected at {gc.get_threshold()}",
    ]
    for generation, stats in enumerate(gc.get_stats()):
        told = ", ".join(f"{name} {value}" for name, value in stats.items())
        lines.append(f"generation {generation}: {told}")
    return Response(HTTPStatus.OK, "\n".join([*lines, ""]).encode())


async def _command_line(_: Request) -> Response:
    """The arguments, NUL between them, as Go tells them."""
    return Response(HTTPStatus.OK, "\0".join(sys.argv).encode())
