"""Real resolvers, a pod's resolv.conf and upstreams that hold their answers: how often a pod waits.

Two questions are open at each wait of a resolver that asks for both addresses at once; what is
asked ahead is open beside them. Namespaces of their own, so that /etc/resolv.conf is the pod's.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.search_clients import Client, find_clients
from tests.needs import need, need_root

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
EACH_STEP = "2,2,2,2,2"
TWO_WAITS = "2,8"
NAMES = [f"{name}.example.com" for name in "abcd"]


@pytest.fixture(scope="module")
def clients(tmp_path_factory) -> dict[str, Client]:
    need_root()
    need("gcc", package="gcc")
    need("musl-gcc", package="musl-tools")
    need("node", package="nodejs")
    return {each.name: each for each in find_clients(tmp_path_factory.mktemp("clients"))}


@pytest.fixture
def search(tmp_path, clients) -> Callable[..., dict]:
    """Have a client look names up in a new pod; what was asked and counted."""

    def run(client: str, names: list[str], owed: list[str], *options: str) -> dict:
        argv = [
            *("unshare", "--net", "--mount", sys.executable, "-m", "bench.search_pod"),
            *("--folder", str(tmp_path), "--owed", ";".join(owed), *options),
            *(",".join(names), "--", *clients[client].argv),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize("client", ["glibc", "musl", "Node"])
def test_a_pod_waits_twice_for_a_new_name_once_it_has_searched_for_two(search, client):
    told = search(client, NAMES, [EACH_STEP, EACH_STEP, TWO_WAITS, TWO_WAITS])
    assert told["ahead"] == [16, 16, 0]
    assert told["queries"] == 4 * 5 * 2


def test_a_pod_waits_at_each_step_where_it_is_off(search):
    told = search("glibc", NAMES[:3], [EACH_STEP] * 3, "--off")
    assert told["ahead"] == [0, 0, 0]


def test_a_pod_that_asks_for_one_address_after_the_other_waits_twice_as_well(search):
    """`single-request`: after three names for both addresses, here three steps, the second is asked along."""
    told = search(
        "glibc",
        NAMES[:3],
        ["1,1,1,1,1,1,2,2", EACH_STEP, TWO_WAITS],
        *("--options", "single-request"),
    )
    assert told["ahead"][2] == 0


def test_the_steps_go_where_the_client_would_have_them_go(search):
    """To the stub domain's server, and by the names that `rewrite` makes."""
    names = [
        "a.corp.example",
        "b.corp.example",
        "c.corp.example",
        "a.old.org",
        "b.old.org",
        "c.old.org",
    ]
    told = search(
        "glibc",
        names,
        [EACH_STEP, EACH_STEP, TWO_WAITS] * 2,
        *("--more", "rewrite name suffix .old.org .rewritten.example answer auto"),
    )
    asked = told["asked"]
    assert set(asked["127.0.0.4"]) == {
        f"{n}.corp.example. {t}" for n in "abc" for t in ("A", "AAAA")
    }
    for name in "abc":
        assert f"{name}.rewritten.example. A" in asked["127.0.0.3"]
        assert f"{name}.old.org. A" not in asked["127.0.0.3"]
    assert not any(name.endswith(".local.") for name in asked["127.0.0.3"])
    assert told["ahead"] == [16, 16, 0]
