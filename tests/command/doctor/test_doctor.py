"""Faults that are planted one at a time: each is found, and named with what mends it."""

import dataclasses
import json
import socket
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from nodecache.command.doctor import agent, files, node, others
from nodecache.command.doctor.findings import Finding, Level, as_json, as_text, look, ok, worst
from nodecache.command.doctor.main import main
from nodecache.command.doctor.subject import metrics_of
from nodecache.config.flags import parse_flags
from tests.command.doctor.subjects import (
    HEALTHY,
    NO_CHAINS,
    changed,
    one,
    planted,
    subject_of,
)
from tests.helpers.agent import HOST, free_port

# From files


def test_a_healthy_node_has_nothing_to_look_at(tmp_path):
    planted(tmp_path, "/etc/resolv.conf", "nameserver 192.0.2.53\n")
    planted(tmp_path, "/var/lib/kubelet/config.yaml", "clusterDNS: [10.96.0.10]\n")
    planted(tmp_path, "/proc/net/dev", "eth0: 0 0\n")
    planted(tmp_path, "/proc/sys/net/netfilter/nf_conntrack_count", "300\n")
    planted(tmp_path, "/proc/sys/net/netfilter/nf_conntrack_max", "262144\n")
    planted(tmp_path, "/sys/fs/cgroup/memory.max", "201326592\n")
    planted(tmp_path, "/sys/fs/cgroup/cpu.stat", "nr_periods 1000\nnr_throttled 3\n")
    subject = subject_of(tmp_path)
    checks = (
        files.check_resolvers, files.check_kubelet, agent.check_agent, node.check_rules,
        others.check_others, agent.check_pods, node.check_conntrack, agent.check_memory,
        agent.check_cpu, agent.check_descriptors,
    )  # fmt: skip
    found = [finding for check in checks for finding in check(subject)]
    assert len(found) >= 8
    assert [finding for finding in found if finding.level is not Level.OK] == []


@pytest.mark.parametrize(
    ("text", "level", "words"),
    [
        ("nameserver 169.254.20.10\n", Level.BROKEN, "the agent itself"),
        ("nameserver 127.0.0.53\n", Level.LOOK, "systemd-resolved"),
        ("".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 5)), Level.LOOK, "4 servers"),
        ("search example\n", Level.BROKEN, "names no nameserver"),
    ],
    ids=["loop", "stub", "too many", "none"],
)
def test_resolvers_of_the_node_that_do_not_do(tmp_path, text, level, words):
    found = one(files.check_resolvers(subject_of(planted(tmp_path, "/etc/resolv.conf", text))))
    assert (found.level, words in found.what) == (level, True)
    assert found.mend


def test_a_kubelet_that_sends_pods_elsewhere(tmp_path):
    planted(tmp_path, "/var/lib/kubelet/config.yaml", "clusterDNS:\n- 10.96.0.53\n")
    found = one(files.check_kubelet(subject_of(tmp_path)))
    assert found.level is Level.BROKEN
    assert "10.96.0.53" in found.what
    assert "-localip" in found.mend


def test_a_broken_corefile_is_named_with_file_and_line(tmp_path):
    file = planted(tmp_path, "Corefile", ". {\n    nonsense\n}\n") / "Corefile"
    corefile, (found,) = files.read_corefile(
        parse_flags(["-conf", str(file), "-basecorefile="], is_served=False), {}
    )
    assert corefile is None
    assert found.level is Level.BROKEN
    assert f"{file}:2: " in found.what


def test_a_service_that_the_agent_looks_up_is_looked_up_beside_it(tmp_path):
    base = ". {\n    forward . __PILLAR__CLUSTER__DNS__\n}\n"
    file = planted(tmp_path, "base", base) / "base"
    flags = parse_flags(["-basecorefile", str(file), "-kubednscm", str(tmp_path)], is_served=False)
    corefile, (found,) = files.read_corefile(flags, {}, lambda _: ip_address("10.96.0.10"))
    assert found.level is Level.OK
    assert corefile.blocks[0].forwards[0].to == ("10.96.0.10",)
    assert files.read_corefile(flags, {})[0] is None


def test_what_is_no_corefile_at_all_is_one_finding(tmp_path):
    file = planted(tmp_path, "notes", "a line of prose\n" * 50) / "notes"
    flags = parse_flags(["-conf", str(file), "-basecorefile="], is_served=False)
    _, (found,) = files.read_corefile(flags, {})
    assert "no Corefile" in found.what


def test_a_placeholder_that_nobody_filled_in_is_named(tmp_path):
    file = planted(tmp_path, "Corefile", ". {\n    forward . __CLUSTER_IP__\n}\n") / "Corefile"
    _, found = files.read_corefile(
        parse_flags(["-conf", str(file), "-basecorefile="], is_served=False), {}
    )
    assert any("__CLUSTER_IP__" in finding.what for finding in found)
    assert worst(found) == Level.BROKEN


# From the agent


@pytest.mark.parametrize(
    ("check", "metrics", "level", "words", "mend"),
    [
        (agent.check_agent, None, Level.LOOK, "no agent answers", "rollout status"),
        (agent.check_agent, changed("nodecache_lease_held", "0"), Level.BROKEN, "leased", "logs"),
        (
            agent.check_agent, changed("nodecache_config_last_reload_successful", "0"),
            Level.BROKEN, "refused the last change", "nodecache check",
        ),
        (
            agent.check_agent, changed("nodecache_config_is_last_known_good", "1"),
            Level.BROKEN, "last configuration that worked", "nodecache check",
        ),
        (
            agent.check_agent, changed("nodecache_worker_replacements_total", "7"),
            Level.LOOK, "7 workers", "logs",
        ),
        (
            agent.check_agent, changed('nodecache_probes_total{outcome="unanswered"}', "400"),
            Level.LOOK, "400 of 5400", "CPU",
        ),
        (
            agent.check_pods, changed("nodecache_cluster_dns_pods", "0"),
            Level.LOOK, "none is known", "kube-dns-pods",
        ),
        (
            agent.check_descriptors, changed("process_open_fds", "1048000"),
            Level.LOOK, "1048000 of 1048576", "limit",
        ),
        (
            node.check_rules, changed("nodecache_rules_info", "0"),
            Level.BROKEN, "no packet rules", "NET_ADMIN",
        ),
        (
            node.check_rules,
            changed("nodecache_rules_info", "0").replace(
                "nodecache_rules_info 0", 'nodecache_rules_info{backend="iptables",fail_open="lease"} 1'
            ),
            Level.LOOK, "cannot match on sockets", "modprobe xt_socket",
        ),
    ],
    ids=[
        "no agent", "lease", "refused", "last good", "workers", "probes", "no pods", "descriptors",
        "no rules", "no match",
    ],
)  # fmt: skip
def test_what_the_metrics_tell_is_named_with_its_mend(check, metrics, level, words, mend):
    found = [each for each in check(subject_of(metrics=metrics)) if each.level is not Level.OK]
    (finding,) = found
    assert finding.level is level
    assert words in finding.what
    assert mend in finding.mend
    assert finding.for_pods


def test_an_agent_that_hangs_is_told_from_none():
    subject = dataclasses.replace(subject_of(metrics=None), is_silent=True)
    found = one(agent.check_agent(subject))
    assert (found.level, "does not answer" in found.what) == (Level.BROKEN, True)


def test_a_page_that_says_nothing_is_an_agent_that_hangs(tmp_path, capsys):
    with socket.create_server((HOST, 0)) as silent:
        page = f"{HOST}:{silent.getsockname()[1]}"
        argv = ["--json", "-conf", "/none", "-basecorefile=", "-metrics-listen-address", page]
        assert main(argv, {}, tmp_path) == 2
    told = json.loads(capsys.readouterr().out)
    (found,) = [each for each in told["findings"] if each["area"] == "agent"]
    assert (found["level"], page in found["what"]) == ("broken", True)


def test_a_proxy_in_the_environment_is_not_asked_for_the_agents_page(monkeypatch):
    with socket.create_server((HOST, 0)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{HOST}:{proxy.getsockname()[1]}")
        flags = parse_flags(["-metrics-listen-address", f"{HOST}:{free_port()}"], is_served=False)
        assert metrics_of(flags) is None


@pytest.mark.parametrize("address", ["", "9353", "localhost:metrics"])
def test_what_is_no_address_for_metrics_is_no_agent(address):
    assert metrics_of(parse_flags(["-metrics-listen-address", address], is_served=False)) is None


def test_a_limit_below_what_the_budget_needs(tmp_path):
    planted(tmp_path, "/sys/fs/cgroup/memory.max", str(64 << 20))
    found = one(agent.check_memory(subject_of(tmp_path)))
    assert found.level is Level.LOOK
    assert "109Mi" in found.mend


def test_a_cpu_limit_that_holds_the_agent_up(tmp_path):
    planted(tmp_path, "/sys/fs/cgroup/cpu/cpu.stat", "nr_periods 100\nnr_throttled 40\n")
    found = one(agent.check_cpu(subject_of(tmp_path)))
    assert (found.level, "40 %" in found.what) == (Level.LOOK, True)


# From the node


def test_a_table_that_somebody_flushed():
    found = one(node.check_rules(subject_of(listings={("nft", "-j", "list", "tables"): NO_CHAINS})))
    assert (found.level, "is gone" in found.what) == (Level.BROKEN, True)


@pytest.mark.parametrize(
    ("release", "metrics", "told"),
    [
        ("6.1.0-13-amd64\n", HEALTHY, "has all that the agent uses"),
        ("4.18.0-553.el8\n", HEALTHY, "does without pidfd"),
        (
            "5.15.0\n",
            HEALTHY.replace("socket", "lease"),
            "does without packet rules that match on sockets",
        ),
    ],
)
def test_what_the_kernel_lacks_is_told_and_no_fault(tmp_path, release, metrics, told):
    planted(tmp_path, "/proc/sys/kernel/osrelease", release)
    found = one(node.check_kernel(subject_of(tmp_path, metrics=metrics)))
    assert (found.level, found.what) == (Level.OK, f"{release.strip()} {told}")


SKIPPED = '-A PREROUTING -d {}/32 -p udp -m udp --dport 53 -m comment --comment "NodeLocal DNS Cache: skip conntrack" -j NOTRACK'


@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_an_address_that_no_rule_names(tmp_path, backend):
    planted(tmp_path, "/proc/net/ip_tables_names", "raw\n")
    page = changed("nodecache_rules_info", "0").replace(
        "nodecache_rules_info 0",
        f'nodecache_rules_info{{backend="{backend}",fail_open="socket"}} 1',
    )

    def found(*addresses: str) -> Finding:
        entries = {"set": {"name": "addresses4", "elem": [*addresses]}}
        saved = "\n".join(
            ["*raw", ":PREROUTING ACCEPT [0:0]", *map(SKIPPED.format, addresses), "COMMIT"]
        )
        listings = {
            ("nft", "-j", "list", "table", "inet", "nodecache"): json.dumps(
                {"nftables": [entries]}
            ),
            ("iptables-legacy-save", "-t", "raw"): saved,
        }
        return one(node.check_rules(subject_of(tmp_path, metrics=page, listings=listings)))

    assert found("169.254.20.10", "10.96.0.10").level is Level.OK
    missing = found("169.254.20.10")
    assert (missing.level, "no rule for 10.96.0.10" in missing.what) == (Level.BROKEN, True)


def conntrack(
    root: Path, *, count: int = 10, failed: int = 0, entries: str = "", age: float = 1e9
) -> list[Finding]:
    planted(root, "/proc/sys/net/netfilter/nf_conntrack_count", f"{count}\n")
    planted(root, "/proc/sys/net/netfilter/nf_conntrack_max", "1000\n")
    planted(
        root,
        "/proc/net/stat/nf_conntrack",
        f"entries found insert_failed drop\n0000000a 0 {failed:08x} 0\n0000000a 0 00000000 0\n",
    )
    planted(root, "/proc/net/nf_conntrack", entries)
    page = changed("process_start_time_seconds", str(time.time() - age))
    return list(node.check_conntrack(subject_of(root, metrics=page)))


def test_connection_tracking_that_is_full_fails_or_tracks_what_it_should_not(tmp_path):
    entry = (
        "ipv4 2 udp 17 29 src=10.244.0.7 dst=10.96.0.10 sport=4096 dport=53 "
        "src=10.244.0.3 dst=10.244.0.7 sport=53 dport=4096 mark=0 use=2\n"
    )
    assert worst(conntrack(tmp_path / "fine")) == Level.OK
    assert "nearly full" in one(conntrack(tmp_path / "full", count=950)).what
    assert "17 entries" in one(conntrack(tmp_path / "failed", failed=17)).what
    assert "2 flows" in one(conntrack(tmp_path / "tracked", entries=2 * entry)).what
    assert worst(conntrack(tmp_path / "young", entries=entry, age=100)) == Level.OK
    own = entry.replace("src=10.244.0.7", "src=10.96.0.10")
    assert worst(conntrack(tmp_path / "own", entries=own)) == Level.OK
    other = entry.replace("dport=53", "dport=5353", 1)
    assert worst(conntrack(tmp_path / "other", entries=other)) == Level.OK


# The command


def test_findings_are_told_to_people_and_to_scripts():
    findings = [ok("cpu", "not throttled"), look("memory", "little", "slow", "a higher limit")]
    text = as_text(findings)
    assert text.splitlines()[0] == "ok      cpu     not throttled"
    assert "mend: a higher limit" in text
    assert text.endswith("1 ok, 1 to look at, 0 broken")
    told = json.loads(as_json(findings))
    assert told["status"] == 1
    assert told["findings"][1]["level"] == "look"


def test_on_a_laptop_it_tells_what_files_tell(tmp_path, capsys):
    file = planted(tmp_path, "Corefile", ". {\n    nonsense\n}\n") / "Corefile"
    page = f"{HOST}:{free_port()}"
    argv = ["--json", "-conf", str(file), "-basecorefile=", "-metrics-listen-address", page]
    assert main(argv, {}, tmp_path) == 2
    told = json.loads(capsys.readouterr().out)
    assert {finding["area"] for finding in told["findings"]} == {"configuration", "agent"}


def test_a_flag_that_does_not_exist_is_a_line_and_status_2(capsys):
    assert main(["-nonsense"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
