"""Files that directives read again, by a loop whose timers and thread are turned by hand."""

import asyncio

from nodecache.worker.refreshing import Refreshing


class Loop:
    """Notes what it is to do later, and what in a thread."""

    def __init__(self) -> None:
        self.timers: list[asyncio.TimerHandle] = []
        self.threads: list[asyncio.Future[None]] = []

    def call_later(self, seconds, callback, *args):
        loop = asyncio.get_running_loop()
        self.timers.append(asyncio.TimerHandle(loop.time() + seconds, callback, args, loop))
        return self.timers[-1]

    def run_in_executor(self, executor, work):
        self.threads.append(asyncio.get_running_loop().create_future())
        return self.threads[-1]

    def fire(self) -> None:
        due, self.timers = self.timers, []
        for timer in due:
            if not timer.cancelled():
                timer._run()


class File:
    refresh_seconds = 5.0

    def refresh(self) -> None:
        """It is a thread's to call."""


def run(scenario) -> None:
    async def main() -> None:
        loop = Loop()
        await scenario(loop, Refreshing([File()], loop))

    asyncio.run(main())


def test_a_file_is_looked_at_again_when_the_last_look_has_ended():
    async def scenario(loop: Loop, _: Refreshing) -> None:
        loop.fire()
        loop.fire()
        assert len(loop.threads) == 1
        loop.threads[0].set_result(None)
        await asyncio.sleep(0)
        loop.fire()
        assert len(loop.threads) == 2

    run(scenario)


def test_a_look_that_ends_after_the_end_is_the_last():
    async def scenario(loop: Loop, refreshing: Refreshing) -> None:
        loop.fire()
        refreshing.close()
        loop.threads[0].set_result(None)
        await asyncio.sleep(0)
        assert loop.timers == []

    run(scenario)
