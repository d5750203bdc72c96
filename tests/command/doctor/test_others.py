"""Rules of others that drop DNS, another cache's, and what stands in for kube-proxy."""

import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodecache.command.doctor import others
from nodecache.command.doctor.findings import Finding, Level
from nodecache.command.doctor.listings import iptables_tables, nft_table
from nodecache.command.doctor.packets import Packet, drops
from tests.command.doctor.subjects import HEALTHY, one, planted, subject_of

UDP_53 = {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 53}}  # fmt: skip
QUERY = Packet("udp", ip_address("169.254.20.10"), 53, is_to=True)
OURS = "NodeLocal DNS Cache: allow DNS traffic (udp to 169.254.20.10)"


def nft(family: str, table: str, *chains: tuple[str, str, str, list[dict[str, Any]]]):
    """What nft lists of a table with these chains: name, hook ("" for none), policy, expressions."""
    listed: list[dict[str, Any]] = []
    rules: list[dict[str, Any]] = []
    for name, hook, policy, expressions in chains:
        chain = {"family": family, "table": table, "name": name}
        if hook:
            chain |= {"type": "filter", "hook": hook, "policy": policy}
        listed.append({"chain": chain})
        where = {"family": family, "table": table, "chain": name}
        rules += [
            {"rule": {**where, "handle": number, **rule}}
            for number, rule in enumerate(expressions, 1)
        ]
    return {
        ("nft", "-j", "list", "chains"): json.dumps({"nftables": listed}),
        ("nft", "-j", "-a", "list", "table", family, table): json.dumps(
            {"nftables": listed + rules}
        ),
    }


def iptables(table: str, *lines: str, program: str = "iptables-legacy", policy: str = "ACCEPT"):
    """What iptables-save lists of a table."""
    chains = {line.split()[1] for line in lines} | {"PREROUTING", "INPUT", "OUTPUT"}
    heads = [f":{chain} {policy if chain.isupper() else '-'} [0:0]" for chain in sorted(chains)]
    return {
        (f"{program}-save", "-t", table): "\n".join([f"*{table}", *heads, *lines, "COMMIT", ""])
    }


def examined(
    root, listings, *, links: str = "", metrics: str | None = HEALTHY, **more
) -> list[Finding]:
    planted(root, "/proc/net/dev", links)
    planted(root, "/proc/net/ip_tables_names", "raw\nmangle\nfilter\nnat\n")
    return list(others.check_others(subject_of(root, listings=listings, metrics=metrics, **more)))


# Who drops


@pytest.mark.parametrize(
    ("listings", "level", "what", "mend"),
    [
        (
            nft("inet", "host", ("input", "input", "drop", [])),
            Level.BROKEN, "table inet host, chain input drops UDP and TCP queries to 169.254.20.10 10.96.0.10: policy drop",
            "nft insert rule inet host input ip daddr 169.254.20.10 meta l4proto { tcp, udp } th dport 53 accept",
        ),
        (
            nft("ip", "host", ("early", "prerouting", "accept", [{"expr": [UDP_53, {"drop": None}]}])),
            Level.BROKEN, "chain early drops UDP queries", "nft insert rule ip host early",
        ),
        (
            nft("inet", "firewalld", ("filter_INPUT", "input", "accept", [{"expr": [{"reject": None}]}])),
            Level.BROKEN, "firewalld: ", "firewall-cmd --permanent --add-service=dns",
        ),
        (
            iptables("filter", "-A INPUT -j ufw-track-input", policy="DROP")
            | {("iptables-legacy-save", "-t", "raw"): ""},
            Level.BROKEN, "chain INPUT drops UDP and TCP queries", "-I INPUT -d 169.254.20.10 -j ACCEPT",
        ),
        (
            iptables("filter", "-A INPUT -j ufw-reject-input", "-A ufw-reject-input -j REJECT"),
            Level.BROKEN, "ufw: ", "ufw allow to 169.254.20.10 port 53",
        ),
        (
            iptables("raw", '-A PREROUTING -p udp -m multiport --dports 5353,53 -m comment --comment "no -j DNS" -j DROP'),
            Level.BROKEN, "chain PREROUTING drops UDP queries",
            'iptables-legacy -t raw -D PREROUTING -p udp -m multiport --dports 5353,53 -m comment --comment "no -j DNS" -j DROP',
        ),
        (
            iptables("mangle", "-A PREROUTING -d 10.96.0.0/16 -p tcp -m tcp --dport 1:1023 -j DROP"),
            Level.BROKEN, "drops TCP queries to 10.96.0.10:", "iptables-legacy -t mangle -D PREROUTING",
        ),
        (
            iptables("mangle", "-A OUTPUT -s 169.254.20.10/32 -j DROP"),
            Level.BROKEN, "drops UDP and TCP replies from 169.254.20.10:", "-D OUTPUT",
        ),
        (
            iptables(
                "filter", "-A INPUT -j cali-INPUT", "-A cali-INPUT -i cali+ -g cali-wl-to-host",
                "-A cali-wl-to-host -m set --match-set cali40 src -j DROP -p udp",
                "-A cali-wl-to-host -p udp -m udp --dport 53 -j DROP",
            ),
            Level.LOOK, "Calico: ", "GlobalNetworkPolicy",
        ),
        (
            iptables("raw", "-A PREROUTING -s 10.244.3.0/24 -d 169.254.20.10/32 -j DROP"),
            Level.LOOK, "(some of them)", "-t raw -D PREROUTING",
        ),
        (
            iptables("filter", "-A INPUT -m set --match-set friends src -j ACCEPT", "-A INPUT -j DROP"),
            Level.LOOK, "(some of them)", "-t filter -D INPUT -j DROP",
        ),
    ],
    ids=[
        "policy", "nft", "firewalld", "iptables policy", "ufw", "ports", "network", "replies", "Calico",
        "some", "most",
    ],
)  # fmt: skip
def test_a_rule_that_drops_dns_is_named_with_its_mend(tmp_path, listings, level, what, mend):
    found = examined(tmp_path, listings)
    assert [each.level for each in found] == [level] * len(found)
    assert what in found[0].what
    assert mend in found[0].mend
    assert found[0].for_pods


STATE = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "invalid"}}


@pytest.mark.parametrize(
    "listings",
    [
        nft(
            "inet", "firewalld",
            ("filter_INPUT", "input", "drop", [{"expr": [{"accept": None}], "comment": OURS}, {"expr": [{"reject": None}]}]),
            ("filter_FORWARD", "forward", "drop", [{"expr": [{"reject": None}]}]),
        ),
        nft("inet", "host", ("input", "input", "accept", [{"expr": [STATE, {"drop": None}]}])),
        nft("inet", "host", ("unused", "", "", [{"expr": [UDP_53, {"drop": None}]}])),
        nft("inet", "nodecache", ("raw", "prerouting", "accept", [{"expr": [UDP_53, {"drop": None}]}])),
        iptables(
            "filter",
            '-A INPUT -d 169.254.20.10/32 -p udp -m udp --dport 53 -m addrtype --dst-type LOCAL -m comment --comment "NodeLocal DNS Cache: allow DNS traffic" -j ACCEPT',
            "-A INPUT -i lo -j ACCEPT",
            "-A INPUT -p udp -m udp --dport 53 -m conntrack --ctstate INVALID -j DROP",
            "-A INPUT -p tcp -m tcp --dport 22 -j DROP",
            "-A INPUT ! -d 169.254.0.0/16 -p udp -m udp --dport 5300 -j DROP",
            "-A INPUT -m mark --mark 0x8000/0x8000 -j DROP",
            "-A INPUT -d 192.0.2.7/32 -p udp -m udp --dport 53 -j DROP",
            "-A nobody-jumps-here -p udp -j DROP",
        ),
        iptables("filter", "-A INPUT -p tcp -j ACCEPT", "-A INPUT -p udp -j mine", "-A mine -j RETURN", "-A mine -j DROP"),
    ],
    ids=["ours", "invalid", "unused", "our table", "others", "return"],
)  # fmt: skip
def test_rules_that_drop_something_else_are_nothing_to_look_at(tmp_path, listings):
    assert examined(tmp_path, listings) == []


def test_a_rule_is_shown_as_nft_lists_it(tmp_path):
    listings = nft(
        "ip", "host", ("early", "prerouting", "accept", [{"expr": [UDP_53, {"drop": None}]}])
    )
    listed = (
        "table ip host {\n\tchain early { # handle 9\n\t\tudp dport 53 drop # handle 1\n\t}\n}\n"
    )
    listings["nft", "-a", "list", "chain", "ip", "host", "early"] = listed
    assert one(examined(tmp_path, listings)).what.endswith(": udp dport 53 drop")


def test_rules_that_lead_round_in_circles_or_without_end_are_left(tmp_path):
    lines = [f"-A {a} -j {b}" for a in ("INPUT", "x", "y") for b in ("x", "y") for _ in range(20)]
    assert examined(tmp_path, iptables("filter", *lines)) == []


def test_where_no_agent_answers_its_filters_are_not_judged(tmp_path):
    listings = nft("inet", "host", ("input", "input", "drop", []))
    assert examined(tmp_path, listings, metrics=None) == []


# Another node-local cache

UNTRACKED = '-A PREROUTING -d {}/32 -p udp -m udp --dport 53 {}-m comment --comment "NodeLocal DNS Cache: skip conntrack" -j {}'  # fmt: skip


@pytest.mark.parametrize("target", ["NOTRACK", "CT --notrack"])
def test_another_cache_has_rules_for_an_address_that_is_not_ours(tmp_path, target):
    line = UNTRACKED.format("169.254.25.10", "", target)
    found = one(examined(tmp_path, iptables("raw", line)))
    assert (found.area, found.level) == ("another cache", Level.LOOK)
    assert "169.254.25.10" in found.what
    assert "iptables-legacy -t raw -D PREROUTING -d 169.254.25.10/32" in found.mend


def test_what_another_cache_left_for_our_address_is_told_from_our_own_rules(tmp_path):
    own = UNTRACKED.format("10.96.0.10", "-m addrtype --dst-type LOCAL ", "NOTRACK")
    assert examined(tmp_path, iptables("raw", own)) == []
    found = one(examined(tmp_path, iptables("raw", UNTRACKED.format("10.96.0.10", "", "NOTRACK"))))
    assert "left" in found.what
    assert "-D PREROUTING" in found.mend


def test_rules_that_keep_something_else_untracked_are_nothing_to_look_at(tmp_path):
    lines = (
        "-A PREROUTING -d 192.0.2.1/32 -p udp -m udp --dport 4789 -j NOTRACK",
        "-A CILIUM_PRE_raw -d 10.0.0.7/32 -p udp -m udp --dport 53 -j CT --notrack",
    )
    assert examined(tmp_path, iptables("raw", *lines)) == []


# kube-proxy


def test_ipvs_with_the_plain_manifest(tmp_path):
    found = one(examined(tmp_path, {}, links="kube-ipvs0: 0 0\n"))
    assert (found.level, "overlays/ipvs" in found.mend) == (Level.BROKEN, True)


@pytest.mark.parametrize(
    ("link", "mend"),
    [("cilium_host", "CiliumLocalRedirectPolicy"), ("bpfin.cali", "--cluster-dns")],
)
def test_what_does_kube_proxys_work_in_ebpf_sends_queries_past_packet_rules(tmp_path, link, mend):
    found = one(examined(tmp_path, {}, links=f"{link}: 0 0\n"))
    assert (found.level, mend in found.mend) == (Level.LOOK, True)


def test_cilium_beside_kube_proxy_is_nothing_to_look_at(tmp_path):
    canary = {"chain": {"family": "ip", "table": "mangle", "name": "KUBE-PROXY-CANARY"}}
    for listings in (
        {("nft", "-j", "list", "chains"): json.dumps({"nftables": [canary]})},
        nft("ip", "kube-proxy", ("services", "", "", [])),
        iptables("mangle", "-A KUBE-PROXY-CANARY -j RETURN"),
    ):
        assert examined(tmp_path, listings, links="cilium_host: 0 0\n") == []


def test_cilium_with_the_redirect_policy_is_nothing_to_look_at(tmp_path):
    flags = ("-localip", "10.96.0.10", "-setupinterface=false", "-setupiptables=false")
    assert examined(tmp_path, {}, links="cilium_host: 0 0\n", flags=flags) == []


# Whatever is listed

words = st.lists(
    st.sampled_from(
        [
            "-A",
            "INPUT",
            "-j",
            "DROP",
            "-p",
            "udp",
            "!",
            "-d",
            "169.254.20.10/32",
            "--dport",
            "53",
            "-m",
        ]
    )
    | st.text(st.characters(exclude_categories=["Cs", "Zl", "Zp", "Cc"]), min_size=1, max_size=6)
)


@given(st.lists(words, max_size=6))
@example([["--dport", "¹"]])  # a digit, and no number
def test_whatever_iptables_lists_of_a_rule_is_read_without_a_fault(rules):
    lines = [f"-A INPUT {' '.join(each)}" for each in rules]
    text = "\n".join(["*filter", ":INPUT ACCEPT [0:0]", *lines, "COMMIT", ""])
    (table,) = iptables_tables("iptables-nft", "ip", text)
    drops(table, "INPUT", QUERY)


def changed(tree, draw):
    """The same with something in it replaced."""
    if draw(st.booleans()):
        return draw(st.none() | st.integers() | st.text(max_size=3) | st.just({}) | st.just([]))
    if isinstance(tree, dict) and tree:
        key = draw(st.sampled_from(sorted(tree)))
        return {**tree, key: changed(tree[key], draw)}
    if isinstance(tree, list) and tree:
        place = draw(st.integers(0, len(tree) - 1))
        return [*tree[:place], changed(tree[place], draw), *tree[place + 1 :]]
    return tree


@given(st.data())
def test_whatever_form_nft_gives_a_rule_it_is_read_without_a_fault(data):
    vmap = {"vmap": {"key": UDP_53["match"]["left"], "data": {"set": [[53, {"drop": None}]]}}}
    expressions = [STATE, UDP_53, vmap, {"counter": {}}, {"jump": {"target": "input"}}]
    _, listed = nft("inet", "host", ("input", "input", "drop", [{"expr": expressions}])).values()
    entries = json.loads(listed)["nftables"]
    entries[1]["rule"]["expr"] = changed(expressions, data.draw)
    table = nft_table("inet", "host", json.dumps({"nftables": entries}))
    drops(table, "input", QUERY)
