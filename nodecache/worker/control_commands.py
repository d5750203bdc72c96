"""What can be asked at the control socket, by its name; imported when it is asked for first."""

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING

from .control import Answer, Command
from .control_request import Request
from .serving import Serving

if TYPE_CHECKING:
    from .toplist import Top


def commands(serving: Serving) -> Mapping[str, Command]:
    """The commands, of what `serving` serves at the moment."""

    async def explain(request: Request) -> AsyncGenerator[Answer, None]:
        from .explain_request import explained  # noqa: PLC0415 - most agents are never asked

        async with contextlib.aclosing(explained(serving, request)) as steps:
            async for step in steps:
                yield step

    watched: list[Top] = []

    async def top(request: Request) -> AsyncGenerator[Answer, None]:
        from .toplist import Top  # noqa: PLC0415

        if not watched:
            watched.append(Top(serving))
        async with contextlib.aclosing(watched[0].lines(request)) as lines:
            async for line in lines:
                yield line

    return {"explain": explain, "top": top}
