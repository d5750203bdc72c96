import asyncio
import sys

import pytest

from nodecache.web.server import Request
from nodecache.worker import pprof


def page(path: str) -> str:
    request = Request("GET", path, {})

    async def read():
        return await pprof.pages()[path](request)

    response = asyncio.run(read())
    assert response.status == 200
    return response.body.decode()


@pytest.mark.parametrize("path", ["/debug/pprof", "/debug/pprof/"])
def test_the_index_names_the_pages(path):
    assert page(path).split() == ["/debug/pprof/", "cmdline", "goroutine", "heap"]


def test_stacks_of_threads_and_tasks_are_told():
    text = page("/debug/pprof/goroutine")
    assert "thread MainThread:" in text
    assert "task Task-" in text
    assert "test_pprof.py" in text


def test_memory_is_told():
    assert "allocated blocks: " in page("/debug/pprof/heap")


def test_arguments_are_told_as_go_tells_them():
    assert page("/debug/pprof/cmdline") == "\0".join(sys.argv)
