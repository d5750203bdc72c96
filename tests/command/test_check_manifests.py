"""`nodecache check` of what people have in hand: manifests, folders, standard input, two to compare."""

import io

import pytest

from nodecache.command import check

CONFIG_MAP = """apiVersion: v1
kind: ConfigMap
metadata:
  name: node-local-dns
data:
  Corefile: |
    cluster.local:53 {
        bind 169.254.20.10
        forward . __PILLAR__CLUSTER__DNS__
    }
    .:53 {
        bind 169.254.20.10
        %s
        forward . __PILLAR__UPSTREAM__SERVERS__
    }
"""
DAEMON_SET = """---
apiVersion: apps/v1
kind: DaemonSet
spec:
  template:
    spec:
      containers:
        - name: node-cache
          args: [-localip, "169.254.20.10", -upstreamsvc, kube-dns-upstream, -dns.port, "%s"]
"""
STUBS = """---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-dns}
data:
  stubDomains: '{"acme.test": ["192.0.2.1"]}'
"""


@pytest.fixture
def check_file(capsys, tmp_path):
    """Runs the check on a file of that name; its status and what it prints."""

    def run(name, text):
        path = tmp_path / name
        path.write_text(text)
        status = check.main([str(path)], {})
        out, err = capsys.readouterr()
        return status, out, err.replace(f"{tmp_path}/", "")

    return run


def test_a_config_map_is_read_as_the_agent_would_read_it(check_file):
    status, out, err = check_file("cm.yaml", CONFIG_MAP % "cache 30")
    assert (status, err) == (0, "")
    assert "# cluster.local.:53 on 169.254.20.10: asks __PILLAR__CLUSTER__DNS__" in out
    assert "/etc/resolv.conf" in out


def test_a_manifest_s_container_and_stub_domains_have_their_say(check_file):
    text = CONFIG_MAP % "cache" + STUBS + DAEMON_SET % 53
    status, out, err = check_file("all.yaml", text)
    assert (status, err) == (0, "")
    assert "# acme.test.:53" in out
    status, _, err = check_file("all.yaml", CONFIG_MAP % "cache" + DAEMON_SET % "many")
    assert status == 1
    assert err.startswith(
        "ConfigMap node-local-dns, Corefile: the container's arguments: -dns.port"
    )


def test_an_error_in_a_config_map_is_told_by_its_name_and_line(check_file):
    status, out, err = check_file("cm.yaml", CONFIG_MAP % "cahce 30")
    assert (status, out) == (1, "")
    assert err.startswith("ConfigMap node-local-dns, Corefile:7: cahce: there is no such directive")


def test_an_error_in_the_stub_domains_of_a_manifest_is_told_by_their_config_map(check_file):
    status, _, err = check_file("all.yaml", CONFIG_MAP % "cache" + STUBS.replace("192.0.2.1", "?"))
    assert status == 1
    assert err.startswith("ConfigMap kube-dns, stubDomains:1: acme.test: must be an IP address")


def test_a_list_of_objects_is_looked_through(check_file):
    import yaml

    items = list(yaml.safe_load_all(CONFIG_MAP % "cache" + STUBS))
    listed = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items})
    assert check_file("list.yaml", listed)[0] == 0


@pytest.mark.parametrize(
    "other",
    [
        "spec: text",
        "spec: {template: [1]}",
        "spec: {template: {spec: {containers: {a: b}}}}",
        "spec: {template: {spec: {containers: [text, {name: node-cache, args: -localip}]}}}",
        "items: 5",
        "items: [text]",
        "kind: ConfigMap\ndata: 5",
        "kind: ConfigMap\nmetadata: {name: x, labels: 2026-13-41}\ndata: {Corefile: null}",
        "kind: ConfigMap\nmetadata: text",
        "a: " + "[" * 5000 + "]" * 5000,
    ],
)
def test_what_is_of_another_shape_takes_nothing_from_the_rest(other, tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(f"apiVersion: v1\n{other}\n")
    (tmp_path / "b.yaml").write_text(CONFIG_MAP % "cache")
    check.main([str(tmp_path)], {})
    assert "keeps answers" in capsys.readouterr().out


def test_a_manifest_whose_placeholders_are_left_is_one_line(check_file):
    text = CONFIG_MAP.replace("169.254.20.10", "__PILLAR__LOCAL__DNS__") % "cache"
    status, out, err = check_file("cm.yaml", text)
    assert (status, out) == (1, "")
    assert err == "ConfigMap node-local-dns, Corefile: not filled in yet: __PILLAR__LOCAL__DNS__\n"


def typed(octets: bytes) -> io.TextIOWrapper:
    """Standard input as it is where the locale is UTF-8, strict."""
    return io.TextIOWrapper(io.BytesIO(octets), encoding="utf-8")


def test_octets_at_standard_input_that_are_no_text_are_one_line(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", typed(b"\x7fELF\xbc\0\n" * 100))
    assert check.main(["-"], {}) == 1
    assert capsys.readouterr().err.startswith("standard input: no Corefile: not in UTF-8")


def test_in_a_folder_what_is_broken_is_named_and_the_rest_is_checked(capsys, tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\x7fELF\xbc\0\n")
    (tmp_path / "b.yaml").write_text(
        (CONFIG_MAP % "cache").replace("cluster.local", "__PILLAR__DNS__DOMAIN__")
    )
    (tmp_path / "c.yaml").write_text("{{ include }}\n")
    (tmp_path / "Corefile").write_bytes(b"\xbc" * 100)
    (tmp_path / "Corefile.good").write_text(". {\n  whoami\n}\n")
    assert check.main([str(tmp_path)], {}) == 1
    out, err = capsys.readouterr()
    assert "answers by whoami" in out
    told = err.splitlines()
    assert len(told) == 4
    for each in (
        "a.yaml: no YAML",
        "c.yaml:1: no YAML",
        f"{tmp_path}/Corefile:1",
        "not filled in yet",
    ):
        assert any(each in line for line in told), err


def test_standard_input_and_a_folder(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", typed((CONFIG_MAP % "cache").encode()))
    assert check.main(["-"], {}) == 0
    (tmp_path / "cm.yaml").write_text(CONFIG_MAP % "cache")
    (tmp_path / "Corefile").write_text(". {\n  whoami\n}\n")
    (tmp_path / "notes").write_text("nothing of interest\n")
    (tmp_path / "make.py").write_text("import os\n")
    capsys.readouterr()
    assert check.main([str(tmp_path)], {}) == 0
    out = capsys.readouterr().out
    assert "answers by whoami" in out
    assert "# cluster.local.:53" in out


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("notes.md", "".join(f"line {n} of prose\n" for n in range(200)), "no Corefile"),
        ("pod.yaml", "apiVersion: v1\nkind: Pod\n", "no ConfigMap is in it"),
        ("broken.yaml", "apiVersion: [v1\n", "broken.yaml:2: no YAML"),
    ],
    ids=["prose", "another object", "broken YAML"],
)
def test_what_holds_no_corefile_is_one_line(check_file, name, text, told):
    status, out, err = check_file(name, text)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert told in err


def test_a_change_at_one_of_two_addresses_of_a_zone_is_told(capsys, tmp_path):
    blocks = ". {{\n bind 1.1.1.1\n forward . {}\n}}\n. {{\n bind 2.2.2.2\n forward . 9.9.9.9\n}}\n"
    for name, upstream in (("old", "9.9.9.9"), ("new", "8.8.8.8")):
        (tmp_path / name).write_text(blocks.format(upstream))
    assert check.main(["--diff", str(tmp_path / "old"), str(tmp_path / "new")], {}) == 0
    assert [line[:28] for line in capsys.readouterr().out.splitlines()] == [
        ".:53", "  - 1.1.1.1: asks 9.9.9.9 ov", "  + 1.1.1.1: asks 8.8.8.8 ov",
    ]  # fmt: skip


def test_a_change_is_told_by_zone(capsys, tmp_path):
    old, new = tmp_path / "old.yaml", tmp_path / "Corefile"
    old.write_text(CONFIG_MAP % "cache 30")
    new.write_text(
        "cluster.local:53 {\n bind 169.254.20.10\n forward . __PILLAR__CLUSTER__DNS__\n}\n"
        "acme.test:53 {\n forward . 192.0.2.1\n}\n"
    )
    assert check.main(["--diff", str(old), str(new)], {}) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [".:53", "acme.test.:53"]
    assert lines[2] == "  + has no block: the one above it answers, or nobody"
    assert check.main(["--diff", str(old), str(old)], {}) == 0
    assert capsys.readouterr().out == "nothing changes for pods\n"
    assert check.main(["--diff", str(old)], {}) == 2
