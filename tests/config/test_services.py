from ipaddress import ip_address

import pytest

from nodecache.config.services import look_up, namespace


def test_the_first_address_is_taken_and_the_name_is_that_of_our_namespace():
    asked = []

    def ask(name):
        asked.append(name)
        return "10.96.0.11      STREAM kube-dns-upstream.kube-system.svc\n10.96.0.11      DGRAM\n"

    assert look_up("kube-dns-upstream", ask) == ip_address("10.96.0.11")
    assert asked == ["kube-dns-upstream.kube-system.svc"]


@pytest.mark.parametrize("told", ["", "\n", "nonsense\n"])
def test_nobody_knows(told):
    assert look_up("kube-dns", lambda _: told) is None


def test_the_namespace_is_the_pod_s(tmp_path):
    (tmp_path / "namespace").write_text("dns\n")
    assert namespace(str(tmp_path / "namespace")) == "dns"
    assert namespace(str(tmp_path / "none")) == "kube-system"


@pytest.mark.system
def test_the_system_s_resolver_is_asked():
    assert look_up("no-such-service.invalid") is None
