from itertools import count

from nodecache.server.loop import Loop

from .chains import answer, below, query, run


def watching(found: list) -> Loop:
    numbers = count(7)
    return Loop("example.org.", lambda: next(numbers), lambda loop, client: found.append(client))


def see(loop: Loop, qname: str, qtype: str = "HINFO") -> None:
    asked = query(qname, qtype)
    run(loop, asked, then=below(answer(asked)))


def test_a_probe_seen_a_third_time_is_a_loop(caplog):
    found = []
    loop = watching(found)
    assert loop.probe_name == "7.8.example.org."
    for _ in range(2):
        see(loop, loop.probe_name)
    assert found == []
    see(loop, loop.probe_name.upper())
    see(loop, loop.probe_name)
    assert len(found) == 1
    assert 'detected for zone "example.org."' in caplog.text


def test_other_questions_are_not_counted():
    loop = watching([])
    see(loop, "7.8.example.org.", "A")
    see(loop, "8.8.example.org.")
    assert loop.sightings == 0


def test_counting_ends_and_begins_again():
    loop = watching([])
    loop.end()
    see(loop, loop.probe_name)
    assert loop.sightings == 0
    loop.begin_again()
    see(loop, loop.probe_name)
    assert loop.sightings == 1


def test_the_root_has_a_probe_too():
    assert Loop(".", lambda: 5, lambda loop, client: None).probe_name == "5.5."
