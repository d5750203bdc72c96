"""The names that a pod asks for, as its resolv.conf has it."""

import pytest

from nodecache.worker.search_path import node_search, search_path


@pytest.mark.parametrize(
    ("name", "names"),
    [
        (
            "web",
            [
                "web.shop.svc.cluster.local.",
                "web.svc.cluster.local.",
                "web.cluster.local.",
                "web.node.example.",
                "web.",
            ],
        ),
        ("a.b.c.d.e.f", ["a.b.c.d.e.f.", "a.b.c.d.e.f.shop.svc.cluster.local."]),
        ("example.org.", ["example.org."]),
    ],
)
def test_names_are_asked_for_in_the_order_of_ndots_five(name, names):
    found = search_path(name, "shop", "cluster.local.", ["node.example"])
    assert found[: len(names)] == names


def test_the_last_search_line_of_the_node_counts(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.1\nsearch a.example\nsearch b.example c.example\n")
    assert node_search(str(file)) == ["b.example", "c.example"]
    assert node_search(str(tmp_path / "none")) == []
