import json
from ipaddress import ip_address as ip

import pytest

from nodecache.host import HostOptions
from nodecache.host.commands import NOT_FOUND, Command, Result
from nodecache.host.foreign import ForeignFilters, chain_may_drop, host_chains
from nodecache.host.nftables import RulesError
from tests.host.kernel import carry_out

OPTIONS = HostOptions(addresses=(ip("10.96.0.10"), ip("fd00::10")))
DROP = [{"drop": None}]
COUNT = [{"counter": {"packets": 0, "bytes": 0}}]


def base(*, family="inet", table="fw", name="in", hook="input", policy="accept", kind="filter"):
    return {
        "chain": {
            "family": family, "table": table, "name": name, "hook": hook, "type": kind, "policy": policy
        }
    }  # fmt: skip


class Nft:
    """Stands for nft: chains with their rules, listed as JSON; remembers what was applied."""

    def __init__(self, chains, rules=()):
        self.chains = chains
        self.rules = list(rules)
        self.applied: list[str] = []

    def __call__(self, command: Command) -> Result:
        match command.argv[1:]:
            case ("-j", "list", "chains"):
                return Result(0, json.dumps({"nftables": self.chains}))
            case ("-j", "-a", "list", "chain", *_):
                return Result(0, json.dumps({"nftables": [{"rule": rule} for rule in self.rules]}))
            case ("-f", "-"):
                self.applied += command.stdin.splitlines()
                return Result(0)
        return Result(1)


@pytest.mark.parametrize(
    ("listing", "may_drop"),
    [
        pytest.param("-P INPUT ACCEPT\n", False, id="open"),
        pytest.param("-P INPUT DROP\n", True, id="policy"),
        pytest.param("-P INPUT ACCEPT\n-A INPUT -s 1.2.3.4/32 -j DROP\n", True, id="drop"),
        pytest.param("-P INPUT ACCEPT\n-A INPUT -j REJECT --reject-with x\n", True, id="reject"),
        pytest.param("-P INPUT ACCEPT\n-A INPUT -j ufw-before-input\n", True, id="jump"),
        pytest.param("-P INPUT ACCEPT\n-A INPUT -g cali-INPUT\n", True, id="goto"),
        pytest.param("-P INPUT ACCEPT\n-A INPUT -j KUBE-FIREWALL\n", False, id="kube-proxy's"),
        pytest.param("-P INPUT ACCEPT\n-A INPUT -i lo -j ACCEPT\n", False, id="accept"),
        pytest.param("-P INPUT ACCEPT\n-A INPUT -p udp\n", False, id="only counting"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_a_chain_may_drop_by_policy_or_by_where_its_rules_lead(listing, may_drop):
    assert chain_may_drop(listing) is may_drop


def test_only_the_hosts_own_filter_chains_at_input_and_output_count():
    chains = [
        base(),
        base(hook="forward"),
        base(kind="nat"),
        base(table="nodecache"),
        base(family="ip", table="kube-proxy", name="filter-input"),
        base(family="ip", table="filter", name="INPUT"),
        base(family="bridge"),
        {"chain": {"family": "inet", "table": "fw", "name": "not-a-base-chain"}},
    ]
    found = host_chains(json.dumps({"nftables": [{"metainfo": {}}, *chains]}))
    assert [str(chain) for chain in found] == ["inet fw in"]


@pytest.mark.parametrize("text", ["", "{}", "null", '{"nftables": [1]}'])
def test_an_unreadable_listing_is_no_chains(text):
    assert host_chains(text) == []


def test_a_chain_that_cannot_drop_is_not_touched():
    nft = Nft([base()], [{"handle": 4, "expr": COUNT}])
    carry_out(ForeignFilters(OPTIONS, has_nft=True).ensure(), nft)
    assert nft.applied == []


@pytest.mark.parametrize(
    ("policy", "rules"),
    [
        pytest.param("drop", [], id="policy"),
        pytest.param("accept", [{"handle": 4, "expr": DROP}], id="rule"),
        pytest.param(
            "accept",
            [
                {
                    "handle": 4,
                    "expr": [{"vmap": {"data": {"set": [["tcp", {"jump": {"target": "x"}}]]}}}],
                }
            ],
            id="verdict map",
        ),
    ],
)
def test_where_something_may_drop_both_families_are_accepted_at_the_head(policy, rules):
    nft = Nft([base(policy=policy)], rules)
    carry_out(ForeignFilters(OPTIONS, has_nft=True).ensure(), nft)
    assert len(nft.applied) == 8  # 2 addresses, 2 protocols, queries and own clients' replies
    assert all(line.startswith("insert rule inet fw in ip") for line in nft.applied)
    assert all("type local accept" in line for line in nft.applied)


def test_a_table_of_one_family_gets_that_familys_rules():
    nft = Nft([base(family="ip6", hook="output", policy="drop")])
    carry_out(ForeignFilters(OPTIONS, has_nft=True).ensure(), nft)
    assert len(nft.applied) == 4
    assert all("fd00::10" in line for line in nft.applied)


def listed_again(nft: Nft) -> None:
    """What was applied is listed from now on, with handles."""
    comments = [line.split('comment "')[1].rstrip('"') for line in nft.applied]
    nft.rules = [
        {"handle": 10 + number, "comment": comment, "expr": [{"accept": None}]}
        for number, comment in enumerate(comments)
    ]
    nft.applied = []


def test_what_is_there_is_not_added_again_and_doubles_go():
    nft = Nft([base(policy="drop")])
    filters = ForeignFilters(OPTIONS, has_nft=True)
    carry_out(filters.ensure(), nft)
    listed_again(nft)
    carry_out(filters.ensure(), nft)
    assert nft.applied == []
    nft.rules.append({**nft.rules[0], "handle": 99})
    carry_out(filters.ensure(), nft)
    assert nft.applied == ["delete rule inet fw in handle 99"]


def test_all_is_taken_out_at_the_end_and_when_nothing_drops_any_more():
    for job, policy in (("remove", "drop"), ("ensure", "accept")):
        nft = Nft([base(policy="drop")])
        filters = ForeignFilters(OPTIONS, has_nft=True)
        carry_out(filters.ensure(), nft)
        listed_again(nft)
        nft.chains = [base(policy=policy)]
        carry_out(getattr(filters, job)(), nft)
        assert nft.applied == [
            f"delete rule inet fw in handle {handle}" for handle in range(10, 18)
        ]


LOCKED = Result(4, stderr="Another app is currently holding the xtables lock.")
KILLED = Result(None, stderr="killed: not done after 8 s")


@pytest.mark.parametrize("result", [LOCKED, KILLED])
def test_a_filter_that_cannot_be_read_is_an_error(result):
    """In silence our accepts would stay there after a stop."""

    def answer(command: Command) -> Result:
        return result if command.argv[0].startswith("ip") else Result(1)

    with pytest.raises(RulesError, match=result.reason):
        carry_out(ForeignFilters(OPTIONS, has_nft=False).remove(), answer)


@pytest.mark.parametrize("words", ["chains", "chain"])
def test_a_listing_of_nft_that_is_killed_is_an_error(words):
    nft = Nft([base(policy="drop")])

    def answer(command: Command) -> Result:
        return KILLED if words in command.argv else nft(command)

    with pytest.raises(RulesError, match="killed"):
        carry_out(ForeignFilters(OPTIONS, has_nft=True).remove(), answer)


@pytest.mark.parametrize("result", [Result(NOT_FOUND), Result(1, stderr="use 'nft' tool")])
def test_a_program_that_is_not_there_or_is_the_wrong_one_has_no_rules_of_ours(result):
    carry_out(ForeignFilters(OPTIONS, has_nft=False).ensure(), lambda command: result)
