from nodecache.server.directives.metadata import Metadata, note, noted
from tests.server.chains import answer, below, client, query, run

ASKED = query("a.example.")


def test_notes_are_kept_in_the_zones_of_the_directive():
    whom = client()
    run(Metadata(["example."]), ASKED, then=below(answer(ASKED)), whom=whom)
    note(whom, "forward/upstream", "10.96.0.10:53")
    assert noted(whom, "forward/upstream") == "10.96.0.10:53"


def test_without_the_directive_nothing_is_noted():
    whom = client()
    run(Metadata(["other."]), ASKED, then=below(answer(ASKED)), whom=whom)
    note(whom, "forward/upstream", "10.96.0.10:53")
    assert noted(whom, "forward/upstream") == ""
