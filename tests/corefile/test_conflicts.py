"""What works between blocks, but not as it reads."""

import pytest

from tests.helpers.corefiles import corefile

CLUSTER = "cluster.local:53 {\nforward . 10.96.0.10\n}\n"


@pytest.mark.parametrize(
    "text",
    [
        "org:53 {\nwhoami\n}\n.:53 {\nbind 127.0.0.1\nwhoami\n}",
        "org:53 {\nwhoami\n}\ncom:53 .:54 {\nbind 127.0.0.1 ::1 {\nexcept ::1\n}\nwhoami\n}",
    ],
)
def test_a_block_without_bind_beside_one_with_it_is_told(text):
    """As in CoreDNS, an address that is bound is served by the blocks bound to it alone."""
    assert corefile(text).warnings == (
        (
            "Corefile:1: org. is not served on 127.0.0.1, which Corefile:4 binds for itself:"
            " give both blocks the same bind"
        ),
    )


def test_blocks_of_other_ports_and_of_the_same_bind_do_not_conflict():
    assert not corefile("org:53 {\nwhoami\n}\n.:54 {\nbind 127.0.0.1\nwhoami\n}").warnings
    assert not corefile("org {\nbind 127.0.0.1\nwhoami\n}\n. {\nbind 127.0.0.1\nwhoami\n}").warnings


@pytest.mark.parametrize(
    "rule",
    [
        "name db.example.com db.prod.svc.cluster.local",
        "name suffix .example.com .svc.cluster.local",
        r"name regex (.*)\.example\.com {1}.svc.cluster.local answer auto",
    ],
)
def test_a_name_rewritten_into_another_block_is_told(rule):
    (told,) = corefile(f"{CLUSTER}. {{\nrewrite {rule}\nforward . 9.9.9.9\n}}").warnings
    assert "is not answered by the block for it, Corefile:1" in told
    assert "put a line 'forward cluster.local. ADDRESS' before the other forward here" in told
    mended = f"rewrite {rule}\nforward cluster.local 10.96.0.10\nforward . 9.9.9.9"
    assert not corefile(f"{CLUSTER}. {{\n{mended}\n}}").warnings
    assert not corefile(f"{CLUSTER}. {{\nrewrite {rule}\nforward . 10.96.0.10\n}}").warnings
    assert not corefile(f"{CLUSTER}.:54 {{\nrewrite {rule}\nforward . 9.9.9.9\n}}").warnings


@pytest.mark.parametrize(
    "rule",
    ["name a.example b.example", "cname exact a.example. x.cluster.local.", "ttl exact a. 5"],
)
def test_other_rewrites_are_not(rule):
    assert not corefile(f"{CLUSTER}. {{\nrewrite {rule}\nforward . 9.9.9.9\n}}").warnings


@pytest.mark.parametrize(
    ("text", "served", "left_out"),
    [
        ("Org {\nwhoami\n}\norg {\nlog\n}", [(4, "org.")], "1: left out: Org is dns://org.:53"),
        ("org ORG. {\nwhoami\n}", [(1, "org.")], "1: left out: ORG is dns://org.:53"),
        ("Org a {\nwhoami\n}\noRg b {\n}", [(1, "org."), (1, "a."), (4, "b.")], "4: left out: oRg"),
    ],
)
def test_of_keys_in_other_letter_case_one_is_served(text, served, left_out):
    """It was an error, which kept the whole agent from starting. CoreDNS starts."""
    found = corefile(text)
    assert [(b.line, key.zone_name) for b in found.blocks for key in b.zones] == served
    assert len(found.left_out) == 1
    assert found.left_out[0].startswith(f"Corefile:{left_out}")


def test_keys_in_other_letter_case_at_other_addresses_are_all_served():
    text = "Org {\nbind 127.0.0.1\n}\norg {\nbind 127.0.0.2\n}"
    assert len(corefile(text).blocks) == 2
    assert not corefile(text).left_out


def test_a_block_that_is_bound_to_no_address_conflicts_with_none():
    assert not corefile("org {\nbind 127.0.0.1 {\nexcept 127.0.0.1\n}\n}").left_out
