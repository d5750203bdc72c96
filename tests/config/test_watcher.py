import errno
import os
import select
import shutil

import pytest

from nodecache.config.watcher import (
    LONGEST_WRITE_SECONDS,
    PAUSE_SECONDS,
    POLL_SECONDS,
    POLL_SECONDS_WITHOUT_INOTIFY,
    Watcher,
)

PATIENCE_MILLISECONDS = 5_000  # of a test, for an event that the kernel has already queued


class Mount:
    """A folder as kubelet mounts a ConfigMap: files are links through `..data`."""

    def __init__(self, path, **files):
        self.path = path
        self._versions = 0
        path.mkdir()
        self.switch(**files)
        for name in files:
            (path / name).symlink_to(f"..data/{name}")

    def switch(self, **files):
        """Put new contents in the place of the old, by one rename, as kubelet's AtomicWriter."""
        self._versions += 1
        version = self.path / f"..2026_{self._versions}"
        version.mkdir()
        for name, text in files.items():
            (version / name).write_text(text)
        old = self.path / "..data"
        before = old.resolve() if old.is_symlink() else None
        (self.path / "..data_tmp").symlink_to(version.name)
        (self.path / "..data_tmp").rename(old)
        if before is not None:
            shutil.rmtree(before)


@pytest.fixture
def watch():
    """Makes watchers, and closes them."""
    made = []

    def make(*paths, now=0.0, **more):
        made.append(Watcher(map(str, paths), now, **more))
        return made[-1]

    yield make
    for watcher in made:
        watcher.close()


def is_readable(watcher):
    poll = select.poll()
    poll.register(watcher.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def await_event(watcher, now):
    """Whether the contents have changed once the descriptor wakes us."""
    poll = select.poll()
    poll.register(watcher.fileno(), select.POLLIN)
    assert poll.poll(PATIENCE_MILLISECONDS)
    return watcher.changed(now)


def await_change(watcher):
    """The same, a while after the last look."""
    return await_event(watcher, watcher.due_at - 1.0)


def no_inotify():
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_switched_link_is_seen_at_once(tmp_path, watch):
    mount = Mount(tmp_path / "mount", Corefile="old")
    watcher = watch(mount.path / "Corefile")
    assert not watcher.changed(0.0)
    mount.switch(Corefile="new")
    assert await_change(watcher)
    assert not watcher.changed(0.0)
    mount.switch(Corefile="newer")
    assert await_change(watcher)


def test_a_switch_to_the_same_contents_is_no_change(tmp_path, watch):
    mount = Mount(tmp_path / "mount", Corefile="same")
    watcher = watch(mount.path / "Corefile")
    mount.switch(Corefile="same")
    assert not await_change(watcher)


def test_a_key_that_comes_or_goes_is_a_change_of_the_folder(tmp_path, watch):
    mount = Mount(tmp_path / "mount", stubDomains="{}")
    watcher = watch(mount.path)
    mount.switch(stubDomains="{}", upstreamNameservers="[]")
    (mount.path / "upstreamNameservers").symlink_to("..data/upstreamNameservers")
    assert await_change(watcher)
    (mount.path / "upstreamNameservers").unlink()
    assert await_change(watcher)


def test_hidden_files_and_folders_do_not_count(tmp_path, watch):
    watcher = watch(tmp_path)
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "sub").mkdir()
    assert not await_change(watcher)


def test_another_file_of_the_folder_does_not_count_for_a_file(tmp_path, watch):
    (tmp_path / "Corefile").write_text("x")
    watcher = watch(tmp_path / "Corefile")
    (tmp_path / "other").write_text("y")
    assert not await_change(watcher)


def test_what_else_happens_in_the_folder_is_not_even_looked_at(tmp_path, watch):
    (tmp_path / "Corefile").write_text("x")
    watcher = watch(tmp_path / "Corefile", now=10.0)
    (tmp_path / "other").write_text("y")
    assert not await_event(watcher, 11.0)
    assert watcher.due_at == 10.0 + POLL_SECONDS


def test_changes_one_after_the_other_are_looked_at_with_a_pause(tmp_path, watch):
    path = tmp_path / "Corefile"
    path.write_text("0")
    watcher = watch(path, now=10.0)
    path.write_text("1")
    assert not await_event(watcher, 10.05)
    assert watcher.due_at == 10.0 + PAUSE_SECONDS
    path.write_text("2")
    assert watcher.changed(watcher.due_at)
    assert watcher.due_at == 10.0 + PAUSE_SECONDS + POLL_SECONDS


def test_a_file_being_written_is_looked_at_when_it_is_closed(tmp_path, watch):
    path = tmp_path / "Corefile"
    path.write_text("old")
    watcher = watch(path)
    with path.open("w") as file:
        file.write("half")
        file.flush()
        assert not await_change(watcher)
        file.write(" and half")
    assert await_change(watcher)


def test_a_file_that_stays_open_is_looked_at_after_a_while(tmp_path, watch):
    path = tmp_path / "Corefile"
    path.write_text("old")
    watcher = watch(path, now=100.0)
    with path.open("a") as file:
        file.write(" and new")
        file.flush()
        assert not await_event(watcher, 101.0)
        assert watcher.due_at == 101.0 + LONGEST_WRITE_SECONDS
        assert watcher.changed(watcher.due_at)


def test_a_file_put_in_place_by_a_rename_is_seen(tmp_path, watch):
    path = tmp_path / "Corefile"
    path.write_text("old")
    watcher = watch(path)
    (tmp_path / "new").write_text("new")
    (tmp_path / "new").rename(path)
    assert await_change(watcher)


def test_a_file_behind_a_link_elsewhere_is_seen(tmp_path, watch):
    (tmp_path / "etc").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run/resolv.conf").write_text("old")
    (tmp_path / "etc/resolv.conf").symlink_to("../run/resolv.conf")
    watcher = watch(tmp_path / "etc/resolv.conf")
    (tmp_path / "run/resolv.conf").write_text("new")
    assert await_change(watcher)


def test_a_file_that_comes_and_goes_is_seen(tmp_path, watch):
    path = tmp_path / "Corefile"
    watcher = watch(path)
    path.write_text("here")
    assert await_change(watcher)
    path.unlink()
    assert await_change(watcher)


def test_files_of_a_pattern_are_seen(tmp_path, watch):
    watcher = watch(tmp_path / "*.server")
    (tmp_path / "a.server").write_text("x")
    assert await_change(watcher)
    (tmp_path / "b.conf").write_text("y")
    assert not await_change(watcher)


def test_a_folder_that_comes_later_is_found_by_looking(tmp_path, watch):
    watcher = watch(tmp_path / "later" / "sub" / "Corefile", now=0.0)
    (tmp_path / "later/sub").mkdir(parents=True)
    (tmp_path / "later/sub/Corefile").write_text("x")
    assert watcher.due_at == POLL_SECONDS_WITHOUT_INOTIFY
    assert watcher.changed(watcher.due_at)
    (tmp_path / "later/sub/Corefile").write_text("y")
    assert await_event(watcher, watcher.due_at - 0.5)


def test_without_inotify_files_are_looked_at_once_a_second(tmp_path, watch):
    path = tmp_path / "Corefile"
    path.write_text("old")
    watcher = watch(path, now=5.0, open_inotify=no_inotify)
    path.write_text("new")
    assert not is_readable(watcher)
    assert not watcher.changed(5.5)
    assert watcher.due_at == 5.0 + POLL_SECONDS_WITHOUT_INOTIFY
    assert watcher.changed(watcher.due_at)


def test_with_inotify_the_contents_are_looked_at_now_and_then_all_the_same(tmp_path, watch):
    watcher = watch(tmp_path, now=1.0)
    assert watcher.due_at == 1.0 + POLL_SECONDS
    assert not watcher.changed(watcher.due_at)
    assert watcher.due_at == 1.0 + 2 * POLL_SECONDS


def test_other_paths_can_be_watched_from_now_on(tmp_path, watch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    watcher = watch(tmp_path / "a")
    watcher.watch([str(tmp_path / "b")], 0.0)
    (tmp_path / "b/x").write_text("x")
    assert await_change(watcher)
    (tmp_path / "a/x").write_text("x")
    assert not await_change(watcher)


@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + "/b", "/".join(["a" * 200] * 30)])
def test_a_path_that_can_never_be_is_a_file_that_is_not_there(tmp_path, watch, name):
    (tmp_path / "Corefile").write_text("old")
    watcher = watch(tmp_path / "Corefile", tmp_path / name)
    (tmp_path / "Corefile").write_text("new")
    assert watcher.changed(now=watcher.due_at)
    assert watcher.due_at > 0


def test_a_link_to_a_name_that_is_too_long_is_a_file_that_is_not_there(tmp_path, watch):
    (tmp_path / "link").symlink_to("a" * 300)
    watcher = watch(tmp_path / "link")
    (tmp_path / "link").unlink()
    (tmp_path / "link").write_text("new")
    assert watcher.changed(now=watcher.due_at)


def test_links_that_go_in_circles_are_no_endless_loop(tmp_path, watch):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert not watch(tmp_path / "a").changed(0.0)


@pytest.mark.parametrize(("seconds", "until"), [(3.0, 3.0), (3600.0, POLL_SECONDS)])
def test_contents_are_looked_at_as_often_as_asked_or_more(watch, tmp_path, seconds, until):
    watcher = watch(tmp_path / "Corefile", now=0.0)
    watcher.look_every(seconds)
    assert watcher.due_at == until
    watcher.changed(until)
    assert watcher.due_at == 2 * until
