import json
from dataclasses import replace
from ipaddress import ip_address

import pytest

from nodecache.config.flags import Flags, parse_flags
from nodecache.config.rendering import (
    CorefileText,
    corefile_text,
    service_variable,
    stored_text,
    watched_paths,
)
from nodecache.config.state import StoredCorefile
from nodecache.corefile import CorefileError

BASE = """cluster.local:53 {
    bind __PILLAR__LOCAL__DNS__
    forward . __PILLAR__CLUSTER__DNS__ {
        force_tcp
    }
}
. {
    bind __PILLAR__LOCAL__DNS__
    forward . __PILLAR__UPSTREAM__SERVERS__ {
        force_tcp
    }
    loop
}
"""
ENV = {"KUBE_DNS_UPSTREAM_SERVICE_HOST": "10.96.0.11"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Corefile.base").write_text(BASE)
    (tmp_path / "kube-dns").mkdir()
    return tmp_path


def flags_for(folder, *more) -> Flags:
    return parse_flags([
        "-localip", "169.254.20.10,10.96.0.10",
        "-basecorefile", str(folder / "Corefile.base"),
        "-conf", str(folder / "Corefile"),
        "-kubednscm", str(folder / "kube-dns"),
        "-upstreamsvc", "kube-dns-upstream",
        *more,
    ])  # fmt: skip


def faults(flags, env=ENV, **more) -> list[str]:
    with pytest.raises(CorefileError) as caught:
        corefile_text(flags, env, **more).parse(flags, env)
    return [str(each) for each in caught.value.all]


def test_the_base_is_filled_in_from_flags_environment_and_configmap(folder):
    (folder / "kube-dns/stubDomains").write_text(json.dumps({"acme.local": ["1.1.1.1"]}))
    (folder / "kube-dns/upstreamNameservers").write_text('["8.8.8.8"]')
    flags = flags_for(folder)
    text = corefile_text(flags, ENV)
    corefile = text.parse(flags, ENV)
    assert text.is_rendered
    assert text.file == str(folder / "Corefile")
    assert [block.forwards[0].to for block in corefile.blocks] == [
        ("10.96.0.11",), ("8.8.8.8",), ("1.1.1.1",),
    ]  # fmt: skip
    assert {line.addresses for block in corefile.blocks for line in block.bind.lines} == {
        ("169.254.20.10", "10.96.0.10")
    }


def test_without_a_base_the_corefile_is_served_as_it_stands(tmp_path):
    (tmp_path / "Corefile").write_text(". {\n whoami\n}\n")
    assert corefile_text(flags_for(tmp_path), {}) == CorefileText(
        ". {\n whoami\n}\n", str(tmp_path / "Corefile")
    )


def test_faults_are_told_by_the_lines_of_what_people_edit(folder):
    (folder / "Corefile.base").write_text(BASE.replace("loop", "lop"))
    (folder / "kube-dns/upstreamNameservers").write_text('["8.8.8.8"]')
    assert faults(flags_for(folder)) == [
        f"{folder}/Corefile.base:12: lop: there is no such directive; is 'loop' meant?",
    ]


def left_out(folder) -> list[str]:
    """What of the ConfigMap is left out, while the rest is served."""
    text = corefile_text(flags_for(folder), ENV)
    assert text.parse(flags_for(folder), ENV).blocks
    return [each.replace(f"{folder}/kube-dns/", "") for each in text.left_out]


def test_a_broken_configmap_is_told_key_by_key_and_the_corefile_is_served(folder):
    (folder / "kube-dns/stubDomains").write_text('{"acme.local": ["10.0.0.1"],}')
    (folder / "kube-dns/upstreamNameservers").write_bytes(b"\xff")
    (folder / "kube-dns/federations").mkdir()
    (folder / "kube-dns/unrelated").write_bytes(b"\xff")
    assert [each.partition(": ")[0] for each in left_out(folder)] == [
        "federations:1", "stubDomains:1", "upstreamNameservers:1",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["nowhere", "Corefile.base", "a" * 300])
def test_a_folder_for_the_configmap_that_is_none_is_told(folder, name):
    flags = flags_for(folder, "-kubednscm", f"{folder}/{name}")
    text = corefile_text(flags, ENV)
    reason = f"cannot be read: {folder}/{name} is no folder (-kubednscm)"
    assert text.left_out == tuple(
        f"{folder}/{name}/{key}:1: {reason}"
        for key in ("stubDomains", "upstreamNameservers", "federations")
    )
    assert len(text.parse(flags, ENV).blocks) == 2


def test_a_stub_domain_that_the_corefile_serves_is_left_out(folder):
    domains = {"Cluster.Local": ["1.1.1.1"], "acme.local": ["1.1.1.1"]}
    (folder / "kube-dns/stubDomains").write_text(json.dumps(domains))
    assert left_out(folder) == ["stubDomains:1: cluster.local: has a block already"]
    assert "\nacme.local:53 {" in corefile_text(flags_for(folder), ENV).text


def test_a_broken_key_of_the_configmap_says_what_it_said_before(folder):
    (folder / "kube-dns/stubDomains").write_text('{"acme.local": ["10.0.0.1"]}')
    before = corefile_text(flags_for(folder), ENV)
    (folder / "kube-dns/stubDomains").write_text('{"acme.local": "10.0.0.1"}')
    now = corefile_text(flags_for(folder), ENV, before=before.kube_dns)
    assert now.text == before.text
    assert "acme.local: must have a list of servers" in now.left_out[0]


def test_imports_start_from_the_folder_of_the_corefile_and_not_of_the_base(folder):
    (folder / "Corefile.base").write_text("import more.conf\n")
    flags = flags_for(folder, "-conf", str(folder / "sub/Corefile"))
    (folder / "sub").mkdir()
    (folder / "sub/more.conf").write_text(". {\n whoami\n}\n")
    corefile = corefile_text(flags, ENV).parse(flags, ENV)
    assert corefile.blocks[0].file == str(folder / "sub/more.conf")
    assert corefile.imports == (str(folder / "sub/more.conf"),)


# The address of the cluster's DNS


def test_stub_domains_are_bound_by_the_variables_and_imports_of_the_corefile(folder):
    (folder / "Corefile.base").write_text(". {\n import all.conf\n bind {$NODE_IP}\n whoami\n}\n")
    (folder / "all.conf").write_text("prometheus {$NODE_IP}:9253\n")
    (folder / "kube-dns/stubDomains").write_text(json.dumps({"acme.local": ["1.1.1.1"]}))
    flags, env = flags_for(folder), {"NODE_IP": "192.0.2.1"}
    blocks = corefile_text(flags, env).parse(flags, env).blocks
    assert [block.bind.lines[0].addresses for block in blocks] == [("192.0.2.1",)] * 2
    assert [block.prometheus.address for block in blocks] == ["192.0.2.1:9253"] * 2


def test_the_variable_is_named_as_kubelet_names_it():
    assert service_variable("kube-dns-upstream") == "KUBE_DNS_UPSTREAM_SERVICE_HOST"


def test_no_service_is_told_where_its_address_is_wanted_and_nobody_is_asked(folder):
    (told,) = faults(replace(flags_for(folder), upstream_service=""), {})
    assert told == (
        f"{folder}/Corefile.base:3: __PILLAR__CLUSTER__DNS__: -upstreamsvc names no Service"
    )


def test_a_missing_service_is_told_where_its_address_is_wanted(folder):
    (told,) = faults(flags_for(folder), {})
    assert told.startswith(
        f"{folder}/Corefile.base:3: __PILLAR__CLUSTER__DNS__: the environment has no "
        "KUBE_DNS_UPSTREAM_SERVICE_HOST: is there a Service 'kube-dns-upstream'"
    )


def test_an_address_that_is_none_is_told(folder):
    env = {"KUBE_DNS_UPSTREAM_SERVICE_HOST": "None"}
    (told,) = faults(flags_for(folder), env)
    assert "KUBE_DNS_UPSTREAM_SERVICE_HOST must be an IP address, not 'None'" in told
    found = corefile_text(flags_for(folder), env, lambda _: "10.96.0.11")
    assert "forward . 10.96.0.11" in found.text


def test_a_missing_service_does_not_matter_where_nobody_asks_for_it(folder):
    (folder / "Corefile.base").write_text("# __PILLAR__CLUSTER__DNS__\n. {\n whoami\n}\n")
    assert corefile_text(flags_for(folder), {}).text.startswith("# \n")


def test_a_missing_service_is_looked_up_where_somebody_asks_for_it(folder):
    asked = []

    def lookup(service):
        asked.append(service)
        return ip_address("fd00::a")

    text = corefile_text(flags_for(folder), {}, lookup)
    assert "forward . fd00::a {" in text.text
    corefile_text(flags_for(folder), ENV, lookup)
    assert asked == ["kube-dns-upstream"]
    assert faults(flags_for(folder), {}, lookup=lambda _: None)


# What was served in a former life


def test_what_was_kept_is_read_with_its_imports_and_not_those_on_the_disk(folder):
    flags = flags_for(folder)
    imports = {str(folder / "d/a.conf"): "a {\n whoami\n}\n", str(folder / "d/sub/b.conf"): "b"}
    kept = StoredCorefile("import d/*.conf\nc {\n lop\n}\n", imports)
    text = stored_text(kept, flags, "/state/last-good.json")
    with pytest.raises(CorefileError) as caught:
        text.parse(flags, ENV)
    assert str(caught.value).startswith("/state/last-good.json:3: lop: there is no such directive")
    sound = stored_text(StoredCorefile("import d/*.conf\n", imports), flags, "x").parse(flags, ENV)
    assert [block.zone_names for block in sound.blocks] == [("a.",)]
    lost = stored_text(StoredCorefile("import gone.conf\n", imports), flags, "x")
    with pytest.raises(CorefileError, match=r"^x:1: import: cannot read .*No such file"):
        lost.parse(flags, ENV)


# Reading


def test_text_that_is_not_utf_8_is_read_all_the_same(folder):
    """As CoreDNS reads it: a comment in Latin-1 is no reason to serve nothing."""
    (folder / "Corefile.base").write_bytes(b". { # caf\xe9\n  import other\n}\n")
    (folder / "other").write_bytes(b"whoami # na\xefve\n")
    text = corefile_text(flags_for(folder), ENV)
    assert text.parse(flags_for(folder), ENV).blocks[0].whoami


def test_a_file_that_is_no_text_is_told(folder):
    (folder / "Corefile.base").write_bytes(b"\x1f\x8b\x08\0\0\xff")
    assert faults(flags_for(folder)) == [f"{folder}/Corefile.base:1: cannot be read: it is no text"]


def test_a_corefile_that_is_not_there_is_told(tmp_path):
    assert faults(flags_for(tmp_path)) == [
        (
            f"{tmp_path}/Corefile:1: cannot be read: No such file or directory; nor is there a"
            f" base Corefile, {tmp_path}/Corefile.base (-basecorefile)"
        )
    ]


def test_what_the_text_is_made_from_is_watched(folder, tmp_path):
    assert watched_paths(flags_for(folder)) == (
        str(folder / "Corefile.base"), str(folder / "kube-dns"),
    )  # fmt: skip
    (folder / "Corefile.base").unlink()
    assert watched_paths(flags_for(folder))[-1] == str(folder / "Corefile")
    assert watched_paths(parse_flags([], is_served=False))[1] == "/etc/kube-dns"
