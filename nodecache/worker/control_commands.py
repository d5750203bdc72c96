"""What can be asked at the control socket, by its name; imported when it is asked for first."""

from collections.abc import AsyncGenerator, Mapping

from .control import Answer, Command
from .control_request import Request
from .serving import Serving


def commands(serving: Serving) -> Mapping[str, Command]:
    """The commands, of what `serving` serves at the moment."""

    async def explain(request: Request) -> AsyncGenerator[Answer, None]:
        from .explain_request import explained  # noqa: PLC0415 - most agents are never asked

        async for step in explained(serving, request):
            yield step

    return {"explain": explain}
