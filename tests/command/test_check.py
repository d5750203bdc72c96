import pytest

from nodecache.command import check

BASE = """cluster.local:53 {
    bind __PILLAR__LOCAL__DNS__
    cache {
        success 9984 30
        denial 9984 5
    }
    forward . __PILLAR__CLUSTER__DNS__ {
        force_tcp
    }
    health __PILLAR__LOCAL__DNS__:8080
}
.:53 {
    bind __PILLAR__LOCAL__DNS__
    forward . __PILLAR__UPSTREAM__SERVERS__
}
"""
ENV = {"KUBE_DNS_SERVICE_HOST": "10.96.0.10"}


@pytest.fixture
def run(capsys, tmp_path):
    """Runs the check on a Corefile's text, alone or as a base; its status and what it prints."""

    def run(text, *flags, env=ENV, as_base=False):
        path = tmp_path / "Corefile"
        path.write_text(text)
        status = check.main(["-basecorefile" if as_base else "-conf", str(path), *flags], env)
        out, err = capsys.readouterr()
        return status, out, err.replace(f"{tmp_path}/", "")

    return run


def test_a_sound_base_is_printed_as_it_is_served_with_what_it_does(run):
    status, out, err = run(BASE, "-localip", "169.254.20.10", as_base=True)
    assert (status, err) == (0, "")
    assert "    forward . 10.96.0.10 {\n" in out
    assert "PILLAR" not in out
    assert out.splitlines()[-3:] == [
        (
            "# cluster.local.:53 on 169.254.20.10: keeps answers up to 30s, denials up to 5s; "
            "asks 10.96.0.10 over TCP; health on 169.254.20.10:8080"
        ),
        "# .:53 on 169.254.20.10: asks /etc/resolv.conf over the client's transport",
        (
            "# kube-dns' pods are asked themselves, as 10.96.0.10 tells them of "
            "kube-dns-pods.kube-system.svc.cluster.local."
        ),
    ]


def test_what_is_printed_is_a_corefile(run):
    _, out, _ = run(BASE, "-localip", "169.254.20.10", as_base=True)
    assert run(out)[0] == 0


def test_every_error_is_told_and_nothing_is_printed(run):
    assert run(". {\n cahce\n forward . <nil>\n}\n") == (
        1,
        "",
        (
            "Corefile:2: cahce: there is no such directive; is 'cache' meant?\n"
            "Corefile:3: forward: TO must be an IP address, a file like resolv.conf or a host name, not '<nil>'\n"
        ),
    )


def test_an_unfilled_base_is_told_as_such(run):
    status, _, err = run(BASE, "-localip", "169.254.20.10", env={}, as_base=True)
    assert status == 1
    assert "Corefile:7: __PILLAR__CLUSTER__DNS__: the environment has no KUBE_DNS_SERVICE" in err


@pytest.mark.parametrize(
    ("key", "bind", "other"),
    [
        (".", "::1", "0:0:0:0:0:0:0:1"),
        (".", "FD00::1", "fd00::1"),
        (".", "nodelocaldns", "169.254.20.10"),
        ("tls://.:53", "::1", "::1"),
    ],
)
def test_a_zone_that_is_twice_at_one_address_is_an_error_as_for_the_agent(run, key, bind, other):
    text = f"{key} {{\n bind {bind}\n whoami\n}}\n. {{\n bind {other} eth0 eth1\n whoami\n}}\n"
    status, out, err = run(text, "-localip", "169.254.20.10", "-basecorefile=")
    assert (status, out) == (1, "")
    assert err.startswith("Corefile:5: cannot serve dns://.:53 on ")


def test_a_broken_template_is_told_by_its_line(run):
    text = '. {\n template IN A {\n  answer "{{ if }}"\n }\n template IN A {\n  answer "{{ else }}"\n }\n}\n'
    status, out, err = run(text)
    assert (status, out) == (1, "")
    assert [line.partition(": template: ")[0] for line in err.splitlines()] == [
        "Corefile:2", "Corefile:5",
    ]  # fmt: skip


def test_warnings_do_not_fail(run):
    status, out, err = run(". {\n}\n")
    assert status == 0
    assert err == "warning: Corefile:1: has no directives: every query is refused\n"
    assert out.endswith("# .:53 on every address: refuses every query\n")


def test_a_file_can_be_named_without_a_flag(capsys, tmp_path):
    (tmp_path / "Corefile").write_text(".:1053 {\n whoami\n}\n")
    assert check.main([str(tmp_path / "Corefile"), "-quiet"], {}) == 0
    assert "# .:1053 on every address: answers by whoami\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "program",
    [["/node-cache"], ["/usr/bin/python3", "/opt/bin/nodecache"], ["python", "-m", "nodecache"]],
)
def test_in_a_container_it_takes_the_agent_s_own_arguments(capsys, tmp_path, program):
    (tmp_path / "Corefile").write_text(".:1053 {\n whoami\n}\n")
    command = tmp_path / "cmdline"
    words = [*program, "-localip", "127.0.0.1", "-conf", str(tmp_path / "Corefile")]
    command.write_text("".join(f"{word}\0" for word in words))
    assert check.main([], {}, str(command)) == 0
    assert "answers by whoami\n" in capsys.readouterr().out


def test_the_arguments_of_a_manifest_are_read_as_the_agent_reads_them(
    capsys, tmp_path, monkeypatch
):
    """`-conf` is what the agent writes, and need not be there."""
    (tmp_path / "base").write_text(".:1053 {\n whoami\n}\n")
    argv = ["-localip", "169.254.20.10", "-conf", f"{tmp_path}/Corefile", "-upstreamsvc", "up"]
    assert check.main([*argv, "-basecorefile", f"{tmp_path}/base"], {}) == 0
    assert "answers by whoami\n" in capsys.readouterr().out
    assert check.main([*argv, "-basecorefile", f"{tmp_path}/none"], {}) == 1
    assert (
        f"nor is there a base Corefile, {tmp_path}/none (-basecorefile)" in capsys.readouterr().err
    )


def test_a_base_that_is_named_and_missing_is_a_warning(capsys, tmp_path):
    (tmp_path / "Corefile").write_text(".:1053 {\n whoami\n}\n")
    argv = ["-conf", f"{tmp_path}/Corefile", "-basecorefile", f"{tmp_path}/none"]
    assert check.main(argv, {}) == 0
    assert f"warning: {tmp_path}/none is not there (-basecorefile)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (". {\n forward . __CLUSTER_IP__\n}\n", "nothing was put in the place of '__CLUSTER_IP__'"),
        ("https://x {\n}\n. {\n whoami\n}\n", "Corefile:1: left out: the key of a server block"),
    ],
)
def test_what_is_left_out_or_left_open_is_an_error_and_the_rest_is_printed(run, text, told):
    status, out, err = run(text)
    assert status == 1
    assert told in err
    assert out.splitlines()[-1].startswith("# .:53 on every address: a")


def test_what_is_wrong_in_the_configmap_is_an_error(run, tmp_path):
    (tmp_path / "kube-dns").mkdir()
    (tmp_path / "kube-dns/stubDomains").write_text("[]")
    argv = ("-localip", "169.254.20.10", "-kubednscm", f"{tmp_path}/kube-dns")
    status, out, err = run(BASE, *argv, as_base=True)
    assert (status, err[:30]) == (1, "kube-dns/stubDomains:1: must b")
    assert "# cluster.local.:53" in out


@pytest.mark.parametrize("words", ["/pause\0-conf\0x\0", "", "/bin/nodecache\0check\0-conf\0x\0"])
def test_another_program_s_arguments_are_not_taken(capsys, tmp_path, words, monkeypatch):
    (tmp_path / "cmdline").write_text(words)
    monkeypatch.chdir(tmp_path)
    assert check.main([], {}, str(tmp_path / "cmdline")) == 1
    assert capsys.readouterr().err.startswith("Corefile:1: cannot be read")


def test_a_file_that_is_not_there_is_an_error(capsys, tmp_path):
    assert check.main(["-conf", str(tmp_path / "none")], {}) == 1
    assert capsys.readouterr().err.partition("none:1: ")[2].startswith("cannot be read: No such")


def test_a_name_that_no_file_can_have_is_an_error(capsys):
    assert check.main(["a" * 300], {}) == 1
    assert capsys.readouterr().err.startswith(f"{'a' * 300}:1: cannot be read: File name too long")


def test_a_wrong_command_line_is_two(capsys):
    assert check.main(["-cnof", "x"], {}) == 2
    assert capsys.readouterr().err == (
        "nodecache check: there is no flag -cnof; is 'conf' meant? (-h lists them)\n"
    )


def test_help_is_shown(capsys):
    assert check.main(["-h"], {}) == 0
    told = capsys.readouterr().err
    assert told.startswith("Usage of nodecache check:\n")
    assert "  -kubednscm string\n" in told
