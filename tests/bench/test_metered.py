import asyncio
import gc
import mmap
import subprocess
from time import thread_time

import pytest

from bench.metered import Figures, Meter, make_file, tell_phase
from bench.pauses import metered_program
from bench.peers import Setting, find_peers
from bench.scrape import metrics_address


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "figures"
    make_file(path)
    return path


def watched(file, act):
    """What the meter says of phase 1, in which `act` is done within one turn of a loop."""

    async def run():
        with file.open("r+b") as opened:
            meter = Meter(mmap.mmap(opened.fileno(), 0), asyncio.get_running_loop())
        tell_phase(file, 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        act()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.callbacks.remove(meter._collector_says)

    was_enabled = gc.isenabled()
    gc.disable()
    asyncio.run(run())
    if was_enabled:
        gc.enable()
    return Figures.read(file, 1)


def work(milliseconds):
    end = thread_time() + milliseconds / 1000
    while thread_time() < end:
        pass


def test_a_turn_is_as_long_as_the_work_in_it(file):
    figures = watched(file, lambda: work(5))
    assert figures.longest_turn >= 0.005
    assert figures.long_turns >= 1
    assert figures.collections == (0, 0, 0)


def test_runs_of_the_collector_are_told_by_generation(file):
    def act():
        gc.collect(0)
        gc.collect(0)
        gc.collect(2)

    figures = watched(file, act)
    assert figures.collections == (2, 0, 1)
    assert figures.longest_collections[1] == 0
    assert 0 < figures.longest_collections[2] <= figures.longest_turn


def test_another_phase_is_not_told_of(file):
    watched(file, gc.collect)
    assert Figures.read(file, 2) == Figures(0, 0, (0, 0, 0), (0, 0, 0))


def test_the_metrics_address_is_the_corefiles(tmp_path):
    (tmp_path / "Corefile.base").write_text(".:53 {\n    prometheus 127.0.0.1:9253\n}\n")
    assert metrics_address(tmp_path) == "127.0.0.1:9253"


@pytest.mark.parametrize("name", ["nodecache", "interpreted"])
def test_a_metered_program_is_started_as_the_one_in_whose_place_it_stands(
    file, tmp_path, monkeypatch, name
):
    monkeypatch.setattr("bench.peers.COMPILED", tmp_path)  # nothing in it: the sources serve
    (found,) = find_peers(tmp_path, frozenset([name]))
    program = metered_program(tmp_path / "metered", file)
    setting = Setting(folder=tmp_path, port=1, upstream_port=2)
    argv = found.peer.command(program, setting)
    argv = [*argv[: argv.index(program) + 1], "-version"]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "nodecache" in told
