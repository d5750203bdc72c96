"""Pods by address, from the files that libcni leaves of its calls."""

import json
import os
from contextlib import contextmanager
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.command.top.pod_names import PodNames, pod_addresses, read_pods

# As containerd 2.4 had it written for a pod of a bridge with host-local addresses; config and netns left out.
CACHED: dict[str, Any] = {
    "kind": "cniCacheV1",
    "containerId": "8f964b8b",
    "config": "e30=",
    "ifName": "eth0",
    "networkName": "pods",
    "cniArgs": [
        ["K8S_POD_UID", "ec46c9b8-ba5e-4d6a-8fe9-ee70fc538489"],
        ["IgnoreUnknown", "1"],
        ["K8S_POD_NAMESPACE", "shop"],
        ["K8S_POD_NAME", "cart-85ffd558d-htpfl"],
    ],
    "result": {
        "cniVersion": "1.0.0",
        "interfaces": [{"mac": "36:79:94:a6:2e:dd", "name": "eth0"}],
        "ips": [
            {"address": "10.244.0.2/24", "gateway": "10.244.0.1", "interface": 1},
            {"address": "fd00:244::2/64"},
        ],
        "routes": [{"dst": "0.0.0.0/0"}],
    },
}
CART = "shop/cart-85ffd558d-htpfl"


def cached(**changes: Any) -> bytes:
    return json.dumps({**CACHED, **changes}).encode()


def put(folder: Path, name: str, octets: bytes, at: int = 1) -> None:
    (folder / name).write_bytes(octets)
    os.utime(folder / name, (at, at))


def test_a_pod_is_known_by_each_of_its_addresses():
    assert pod_addresses(cached()) == {"10.244.0.2": CART, "fd00:244::2": CART}


def test_results_of_the_form_before_0_3_are_read_too():
    result = {"cniVersion": "0.2.0", "ip4": {"ip": "10.1.2.3/24"}, "ip6": {"ip": "fd00::3/64"}}
    assert pod_addresses(cached(result=result)) == {"10.1.2.3": CART, "fd00::3": CART}


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        cached(cniArgs=None),
        cached(cniArgs=[["K8S_POD_NAME", "cart"], ["K8S_POD_NAMESPACE"]]),
        cached(result={"ips": [{"address": "127.0.0.1/8"}, {"address": "::1/128"}]}),
        cached(result={"ips": [{"address": "nonsense"}, {"address": 7}, None]}),
        json.dumps(CACHED["result"]).encode(),  # libcni before 0.7.2 kept no more than this
    ],
)
def test_a_file_that_tells_no_pod_is_passed_over(octets):
    assert pod_addresses(octets) == {}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
arguments = st.lists(
    st.tuples(st.sampled_from(["K8S_POD_NAMESPACE", "K8S_POD_NAME", "x"]), st.text()).map(list)
    | anything
)
addresses = st.lists(st.fixed_dictionaries({"address": st.ip_addresses().map(str)}) | anything)
results = st.fixed_dictionaries({"ips": addresses | anything, "ip4": anything}) | anything


@given(arguments | anything, results)
def test_whatever_a_file_says_there_come_addresses_and_texts_or_nothing(args, result):
    for address, pod in pod_addresses(cached(cniArgs=args, result=result)).items():
        assert str(ip_interface(address).ip) == address
        assert "/" in pod


@given(st.binary())
def test_octets_that_are_no_file_of_cnis_tell_nothing(octets):
    assert pod_addresses(octets) == {}


@given(st.ip_addresses(), st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True))
def test_what_is_written_is_read(address, name):
    args = [["K8S_POD_NAMESPACE", "default"], ["K8S_POD_NAME", name]]
    octets = cached(cniArgs=args, result={"ips": [{"address": f"{address}/16"}]})
    expected = {} if address.is_loopback else {str(address): f"default/{name}"}
    assert pod_addresses(octets) == expected


def test_the_newest_file_has_the_word_on_an_address(tmp_path):
    args = [["K8S_POD_NAMESPACE", "old"], ["K8S_POD_NAME", "gone"]]
    put(tmp_path, "a", cached(), at=2)
    put(tmp_path, "b", cached(cniArgs=args), at=1)
    assert read_pods(str(tmp_path))["10.244.0.2"] == CART


def test_what_is_no_file_too_large_or_away_is_passed_over(tmp_path):
    put(tmp_path, "large", cached() + b" " * 100_000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("large")
    os.mkfifo(tmp_path / "pipe")
    assert read_pods(str(tmp_path)) == {}
    assert read_pods(str(tmp_path / "none")) == {}


def test_a_file_that_goes_while_they_are_listed_takes_no_other_with_it(tmp_path, monkeypatch):
    put(tmp_path, "a", b"")
    put(tmp_path, "b", cached())
    listed = os.scandir

    @contextmanager
    def scandir(folder):
        with listed(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        (tmp_path / "a").unlink()
        yield found

    monkeypatch.setattr(os, "scandir", scandir)
    assert read_pods(str(tmp_path))["10.244.0.2"] == CART


def test_the_folder_is_read_again_after_ten_seconds(tmp_path):
    names = PodNames(str(tmp_path))
    clients = [{"key": "10.244.0.2"}]
    for now, pod in ((100.0, None), (109.9, None), (110.0, CART)):
        names.tell(clients, now)
        assert clients == [{"key": "10.244.0.2", "pod": pod}]
        put(tmp_path, "a", cached())
