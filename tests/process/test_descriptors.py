import resource

import pytest

from nodecache.process.descriptors import raise_limit, room_for_clients


@pytest.fixture
def soft_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda files: resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_as_many_files_may_be_open_as_the_hard_limit_says(soft_limit):
    soft_limit(200)
    raise_limit()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard > 200


@pytest.mark.parametrize(
    ("files", "addresses", "room"),
    [(1024, 1, 768), (1024, 2, 384), (1024, 0, 768), (64, 1, 32), (64, 100, 1)],
)
def test_clients_share_what_the_agent_does_not_need(soft_limit, files, addresses, room):
    soft_limit(files)
    assert room_for_clients(addresses) == room


@pytest.mark.parametrize(("files", "is_told"), [(64, True), (511, True), (512, False), (-1, False)])
def test_a_low_limit_is_told_at_the_start(files, is_told, monkeypatch, caplog):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    raise_limit()
    assert (f"only {files} files may be open" in caplog.text) is is_told
