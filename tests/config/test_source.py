import shutil
from ipaddress import ip_address

import pytest

from nodecache.config.flags import parse_flags
from nodecache.config.source import ConfigSource
from nodecache.config.watcher import POLL_SECONDS
from nodecache.corefile import CorefileError

BASE = ".:1053 {\n    bind 127.0.0.1\n    forward . __PILLAR__UPSTREAM__SERVERS__\n}\n"


class Node:
    """A node's files, a configuration source that reads them, and a clock that is looked at."""

    def __init__(self, folder):
        self.folder = folder
        self.base = folder / "Corefile.base"
        self.conf = folder / "Corefile"
        self.now = 0.0
        self.flags = parse_flags([
            "-setupinterface=false", "-setupiptables=false",
            "-basecorefile", str(self.base), "-conf", str(self.conf),
            "-kubednscm", str(folder / "kube-dns"), "-state", str(folder / "state"),
        ])  # fmt: skip
        (folder / "kube-dns").mkdir(exist_ok=True)
        self.open = []

    def source(self):
        source = ConfigSource(self.flags, {}, lambda _: [], self.now, look_up=lambda _: None)
        self.open.append(source)
        return source

    def later(self, source):
        """What the source makes of the files when it is due to look."""
        self.now = source.due_at
        return source.changed(self.now)

    def write(self, path, text):
        place = self.folder / path
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    node.base.write_text(BASE)
    yield node
    for source in node.open:
        source.close()


def test_the_configuration_is_rendered_and_written_for_people(node):
    config = node.source().read_or_last_good()
    assert config.text == BASE.replace("__PILLAR__UPSTREAM__SERVERS__", "/etc/resolv.conf")
    assert node.conf.read_text() == config.text
    assert not config.is_last_known_good
    assert [str(place.address) for place in config.served_zones] == ["127.0.0.1:1053"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Corefile.base", BASE + "a {\n whoami\n}\n"),
        ("kube-dns/upstreamNameservers", '["9.9.9.9"]'),
    ],
)
def test_a_change_is_a_new_configuration_once(node, path, text):
    source = node.source()
    source.keep_good(source.read_or_last_good())
    node.write(path, text)
    config = node.later(source)
    assert config is not None
    source.keep_good(config)
    assert node.later(source) is None
    assert source.failures == 0


def test_an_import_whose_quote_is_never_closed_is_told_and_the_next_corefile_is_served(node):
    source = node.source()
    source.keep_good(source.read_or_last_good())
    rest = "# padding\n" * 40
    node.write("Corefile.base", f'. {{\n import "common.conf\n whoami\n}}\n{rest}')
    assert node.later(source) is None
    assert source.failures == 1
    node.write("Corefile.base", ". {\n whoami\n}\n")
    assert node.later(source) is not None


def test_a_base_that_goes_is_told_and_what_was_made_of_it_stays_in_force(node):
    source = node.source()
    source.keep_good(source.read_or_last_good())
    node.base.unlink()
    assert node.later(source) is None
    assert (source.failures, source.is_current) == (1, False)
    node.write("Corefile", "a {\n whoami\n}\n")
    assert node.later(source) is None
    node.base.write_text(BASE)
    assert node.later(source) is None
    assert source.is_current


def test_an_import_that_comes_while_another_is_read_is_watched(node):
    for name in ("a", "b"):
        node.write(f"{name}.conf", "whoami\n")
    base = ". {{\n import {}.conf\n forward . __PILLAR__CLUSTER__DNS__\n}}\n"

    def look_up(_):  # asked for after the base was read, which then changes
        node.write("Corefile.base", base.format("b"))
        return ip_address("10.96.0.10")

    node.write("Corefile.base", base.format("a"))
    source = ConfigSource(node.flags, {}, lambda _: [], node.now, look_up=look_up)
    node.open.append(source)
    source.keep_good(source.read_or_last_good())
    node.write("b.conf", "errors\n")
    assert node.later(source) is not None


def test_what_is_made_of_the_same_is_no_change(node):
    source = node.source()
    source.keep_good(source.read_or_last_good())
    node.write("kube-dns/somethingElse", "x")
    assert node.later(source) is None


def test_a_broken_change_is_told_and_counted_and_its_mending_is_no_change(node, caplog):
    source = node.source()
    source.keep_good(source.read_or_last_good())
    node.base.write_text(BASE.replace("forward", "forwrad"))
    assert node.later(source) is None
    assert (source.failures, source.errors, source.is_current) == (1, 1, False)
    assert f"{node.base}:3: forwrad: there is no such directive" in caplog.text
    node.base.write_text(BASE)
    assert node.later(source) is None
    assert source.is_current


def test_a_start_with_a_broken_one_serves_the_last_that_was_good(node):
    source = node.source()
    good = source.read_or_last_good()
    source.keep_good(good)
    node.base.write_text("nonsense {\n")
    config = node.source().read_or_last_good()
    assert config.is_last_known_good
    assert config.corefile == good.corefile


def test_a_start_with_a_broken_one_and_no_other_is_an_error(node):
    node.base.write_text("nonsense {\n")
    with pytest.raises(CorefileError, match="never closed"):
        node.source().read_or_last_good()


def test_after_a_start_with_the_last_good_one_the_mended_one_is_taken(node):
    source = node.source()
    source.keep_good(source.read_or_last_good())
    node.base.write_text("nonsense {\n")
    source = node.source()
    source.keep_good(source.read_or_last_good())
    node.base.write_text(BASE + "a {\n whoami\n}\n")
    assert len(node.later(source).corefile.blocks) == 2


# What can be left out

STUB = '{"acme.local": ["10.0.0.1"]}'
BROKEN = '{"acme.local": ["10.0.0.1"],}'


def test_a_start_with_a_broken_configmap_serves_the_corefile_tells_and_counts(node, caplog):
    node.write("kube-dns/stubDomains", BROKEN)
    source = node.source()
    config = source.read_or_last_good()
    assert [block.zone_names for block in config.corefile.blocks] == [(".",)]
    assert (source.errors, source.is_current) == (1, False)
    assert f"{node.folder}/kube-dns/stubDomains:1: must be JSON" in caplog.text
    source.keep_good(config)
    node.write("kube-dns/stubDomains", STUB)
    assert len(node.later(source).corefile.blocks) == 2
    assert source.is_current


def test_a_broken_configmap_changes_nothing_and_holds_up_no_other_change(node):
    node.write("kube-dns/stubDomains", STUB)
    source = node.source()
    source.keep_good(source.read_or_last_good())
    node.write("kube-dns/stubDomains", BROKEN)
    assert node.later(source) is None
    assert (source.errors, source.is_current) == (1, False)
    node.base.write_text(BASE + "a {\n whoami\n}\n")
    assert [b.zone_names[0] for b in node.later(source).corefile.blocks] == [
        ".",
        "a.",
        "acme.local.",
    ]


def test_over_a_restart_a_broken_configmap_says_what_it_said_before(node):
    node.write("kube-dns/stubDomains", STUB)
    source = node.source()
    source.keep_good(source.read_or_last_good())
    node.write("kube-dns/stubDomains", BROKEN)
    node.base.write_text(BASE + "a {\n whoami\n}\n")
    config = node.source().read_or_last_good()
    assert not config.is_last_known_good
    assert [b.zone_names[0] for b in config.corefile.blocks] == [".", "a.", "acme.local."]


def test_a_block_that_cannot_be_served_is_left_out_and_told(node, caplog):
    node.base.write_text(BASE + "https://x:4453 {\n tls a b\n whoami\n}\n")
    source = node.source()
    assert len(source.read_or_last_good().corefile.blocks) == 1
    assert f"{node.base}:5: left out: the key of a server block must be served" in caplog.text
    assert source.errors == 1


# Imported files


def test_a_change_of_an_imported_file_is_a_change(node):
    node.write("custom/a.server", "a.example {\n whoami\n}\n")
    node.base.write_text(BASE + "import custom/*.server\n")
    source = node.source()
    source.keep_good(source.read_or_last_good())
    source.changed(node.now)
    node.write("custom/a.server", "b.example {\n whoami\n}\n")
    config = node.later(source)
    assert config.corefile.blocks[-1].zone_names == ("b.example.",)
    source.keep_good(config)
    node.write("custom/c.server", "c.example {\n whoami\n}\n")
    assert len(node.later(source).corefile.blocks) == 3


def test_the_mending_of_an_imported_file_is_seen(node):
    source = node.source()
    source.keep_good(source.read_or_last_good())
    node.write("more.conf", "a.example {\n whoaim\n}\n")
    node.base.write_text(BASE + "import more.conf\n")
    assert node.later(source) is None
    node.write("more.conf", "a.example {\n whoami\n}\n")
    assert len(node.later(source).corefile.blocks) == 2


def test_the_last_good_one_is_kept_with_what_it_imports(node):
    node.write("custom/a.server", "a.example {\n whoami\n}\n")
    node.base.write_text("import custom/*.server\n")
    source = node.source()
    good = source.read_or_last_good()
    source.keep_good(good)
    shutil.rmtree(node.folder / "custom")
    config = node.source().read_or_last_good()
    assert config.is_last_known_good
    assert config.corefile.blocks == good.corefile.blocks


def test_a_service_that_the_environment_lacks_is_looked_up(node):
    node.base.write_text(BASE.replace("UPSTREAM__SERVERS", "CLUSTER__DNS"))
    source = ConfigSource(node.flags, {}, lambda _: [], 0.0, look_up=lambda _: "10.96.0.11")
    node.open.append(source)
    assert source.read().corefile.blocks[0].forwards[0].to == ("10.96.0.11",)


def test_what_failed_for_something_in_no_file_is_tried_again_and_told_once(node, caplog):
    there = []
    source = ConfigSource(node.flags, {}, lambda _: there, 0.0, look_up=lambda _: None)
    node.open.append(source)
    source.keep_good(source.read_or_last_good())
    node.base.write_text(BASE + "a {\n bind eth7\n whoami\n}\n")
    for _ in range(3):
        assert node.later(source) is None
    assert (source.failures, caplog.text.count("eth7")) == (1, 1)
    there.append("192.0.2.7")
    assert len(node.later(source).corefile.blocks) == 2
    assert source.is_current


def test_what_was_refused_is_given_again_later_each_time(node):
    """A port may be free, and a certificate be there, a moment later."""
    source = node.source()
    source.keep_good(source.read_or_last_good())
    node.base.write_text(BASE + "a {\n whoami\n}\n")
    config = node.later(source)
    pauses = []
    for _ in range(7):
        source.refused(is_to_be_tried_again=True)
        since = node.now
        while not (again := node.later(source)):
            pass
        pauses.append(node.now - since)
        assert again.is_like(config)
        assert source.is_current
    assert pauses == [10, 20, 40, 80, 160, 300, 300]
    source.refused(is_to_be_tried_again=False)
    assert not any(node.later(source) for _ in range(50))
    assert not source.is_current


def test_a_service_that_is_not_found_any_more_keeps_its_address(node):
    node.base.write_text(BASE.replace("UPSTREAM__SERVERS", "CLUSTER__DNS"))
    answers = ["10.96.0.11"]
    source = ConfigSource(
        node.flags, {}, lambda _: [], 0.0, look_up=lambda _: answers.pop() if answers else None
    )
    node.open.append(source)
    source.keep_good(source.read_or_last_good())
    node.base.write_text(node.base.read_text() + "a {\n whoami\n}\n")
    assert node.later(source).corefile.blocks[0].forwards[0].to == ("10.96.0.11",)


@pytest.mark.parametrize(
    ("line", "draw", "seconds"),
    [
        pytest.param("", 0.5, POLL_SECONDS, id="none"),
        pytest.param("reload", 0.0, POLL_SECONDS, id="longer than we wait anyway"),
        pytest.param("reload 6s 0s", 0.9, 6.0, id="no jitter"),
        pytest.param("reload 6s 2s", 0.0, 5.0, id="earliest"),
        pytest.param("reload 6s 2s", 1.0, 7.0, id="latest"),
        pytest.param("reload 4s", 0.0, 3.0, id="jitter is half the interval at most"),
    ],
)
def test_reload_says_how_often_files_are_looked_at_though_nothing_is_told(
    node, line, draw, seconds
):
    node.base.write_text(BASE.replace("bind", f"{line}\n    bind"))
    source = ConfigSource(
        node.flags, {}, lambda _: [], 0.0, look_up=lambda _: None, uniform=lambda: draw
    )
    node.open.append(source)
    source.keep_good(source.read_or_last_good())
    assert source.due_at == seconds


def test_of_several_reloads_the_last_counts(node):
    node.base.write_text(BASE + "a {\n reload 9s 0s\n whoami\n}\nb {\n reload 5s 0s\n whoami\n}\n")
    source = node.source()
    source.keep_good(source.read_or_last_good())
    assert source.due_at == 5.0
