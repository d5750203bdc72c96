import stat
from dataclasses import replace
from pathlib import Path

import pytest

from nodecache.config.state import State, StoredCorefile, write_atomically
from nodecache.corefile import KubeDns

FIRST = StoredCorefile("first", {})
SECOND = StoredCorefile(". {\n}\n", {"/etc/more": "error\u0073"})


def test_what_was_kept_is_found_by_the_next_life(tmp_path):
    folder = str(tmp_path / "state")
    State(folder).keep(FIRST)
    state = State(folder)
    assert state.last_good() == FIRST
    state.keep(SECOND)
    assert State(folder).last_good() == SECOND
    third = replace(SECOND, kube_dns=KubeDns((("acme.local", ("10.0.0.1",)),), ("9.9.9.9",)))
    state.keep(third)
    assert State(folder).last_good() == third


def test_without_a_folder_nothing_is_kept_or_found():
    state = State("")
    state.keep(FIRST)
    assert state.last_good() is None
    assert state.file == ""


def test_nothing_is_found_where_nothing_was_kept(tmp_path):
    assert State(str(tmp_path)).last_good() is None


@pytest.mark.parametrize("octets", [b"\xff", b"", b"[]", b"{}", b'{"corefile": "x"}', b"null"])
def test_a_file_that_holds_something_else_is_nothing(tmp_path, octets):
    state = State(str(tmp_path))
    Path(state.file).write_bytes(octets)
    assert state.last_good() is None


def test_the_same_is_written_once(tmp_path):
    state = State(str(tmp_path))
    state.keep(FIRST)
    first = Path(state.file).stat().st_ino
    state.keep(StoredCorefile("first", {}))
    assert Path(state.file).stat().st_ino == first
    state.keep(SECOND)
    assert Path(state.file).stat().st_ino != first


def test_a_folder_that_cannot_be_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        State(str(tmp_path / "file" / "state")).keep(FIRST)


def test_a_file_is_replaced_whole_and_readers_of_the_old_keep_it(tmp_path):
    path = tmp_path / "Corefile"
    path.write_text("old")
    with path.open() as reader:
        write_atomically(path, "näw")
        assert reader.read() == "old"
    assert path.read_text(encoding="utf-8") == "näw"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["Corefile"]


def test_a_write_that_fails_leaves_the_old_and_no_litter(tmp_path):
    path = tmp_path / "Corefile"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["Corefile"]
