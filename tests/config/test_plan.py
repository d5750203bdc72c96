import pytest

from nodecache.config.flags import parse_flags
from nodecache.config.plan import page_addresses, served_zones, with_own_interface
from nodecache.config.rendering import corefile_text
from nodecache.corefile import CorefileError, parse


def test_every_page_of_every_block_and_the_flags_own_is_an_address(tmp_path):
    corefile = tmp_path / "Corefile"
    corefile.write_text(
        ".:53 {\n  prometheus :9253\n  health 169.254.20.10:8080\n}\n"
        "a.example.:53 {\n  prometheus :9253\n  ready :8181\n  pprof 127.0.0.1:6053\n}\n"
    )
    flags = parse_flags(
        ["-conf", str(corefile), "-basecorefile", "/nonexistent", "-localip", "169.254.20.10"]
    )
    parsed = corefile_text(flags, {}).parse(flags, {})
    assert page_addresses(parsed, "0.0.0.0:9353") == {
        "0.0.0.0:9353", ":9253", "169.254.20.10:8080", ":8181", "127.0.0.1:6053",
    }  # fmt: skip


def test_the_interface_that_the_agent_puts_up_has_its_addresses_before_it_is_there():
    """node-cache, which puts it up first, serves `bind nodelocaldns`."""
    corefile = parse("a {\nbind nodelocaldns\n}\nb {\nbind eth0\n}", "Corefile", env={})
    flags = ["-localip", "169.254.20.10,fd00::10"]
    resolve = with_own_interface(parse_flags(flags), {"eth0": ["10.0.0.1"]}.__getitem__)
    hosts = [served.address.host for served in served_zones(corefile, resolve)]
    assert hosts == ["169.254.20.10", "fd00::10", "10.0.0.1"]
    not_ours = with_own_interface(parse_flags([*flags, "-setupinterface=false"]), lambda _: [])
    with pytest.raises(CorefileError, match="name of an interface: 'nodelocaldns'"):
        served_zones(corefile, not_ours)
