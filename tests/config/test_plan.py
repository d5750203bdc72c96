from nodecache.config.flags import parse_flags
from nodecache.config.plan import page_addresses
from nodecache.config.rendering import corefile_text


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
