import pytest

from nodecache.corefile import BindLine, BindOptions, ReloadOptions, TimeoutsOptions
from tests.helpers.corefiles import block, body_errors


def fault(body: str) -> str:
    (only,) = body_errors(body)
    return only.split(": ", 1)[1]


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("bind 1.2.3.4 ::5", [BindLine(("1.2.3.4", "::5"))]),
        ("bind 1.2.3.4 lo", [BindLine(("1.2.3.4", "lo"))]),
        ("bind lo {\nexcept 127.0.0.1\n}", [BindLine(("lo",), ("127.0.0.1",))]),
        ("bind lo {\nexcept a\nexcept b\n}", [BindLine(("lo",), ("a", "b"))]),
        ("bind lo\nbind eth0 {\nexcept ::1\n}", [BindLine(("lo",)), BindLine(("eth0",), ("::1",))]),
    ],
)
def test_bind_lines_add_up(body, lines):
    assert block(body).bind == BindOptions(lines=tuple(lines))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("reload", ReloadOptions(interval_seconds=30.0, jitter_seconds=15.0)),
        ("reload 10s", ReloadOptions(interval_seconds=10.0, jitter_seconds=5.0)),
        ("reload 10s 2s", ReloadOptions(interval_seconds=10.0, jitter_seconds=2.0)),
        ("reload 2s 0s", ReloadOptions(interval_seconds=2.0, jitter_seconds=0.0)),
        ("reload 10s 10s", ReloadOptions(interval_seconds=10.0, jitter_seconds=5.0)),
    ],
)
def test_reload_is_read_its_jitter_at_most_half_its_interval(body, expected):
    assert block(body).reload == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("read 5s", TimeoutsOptions(read_seconds=5.0)),
        ("read 5\nwrite 1m\nidle 24h", TimeoutsOptions(
            read_seconds=5.0, write_seconds=60.0, idle_seconds=86400.0)),
        ("maxtcpqueries -1", TimeoutsOptions(max_tcp_queries=-1)),
        ("maxtcpqueries 100", TimeoutsOptions(max_tcp_queries=100)),
    ],
)  # fmt: skip
def test_timeouts_are_read_a_bare_number_as_seconds(options, expected):
    assert block(f"timeouts {{\n{options}\n}}").timeouts == expected


def test_bufsize_is_1232_unless_given():
    assert block("bufsize").bufsize == 1232
    assert block("bufsize 4096").bufsize == 4096


@pytest.mark.parametrize("name", ["debug", "whoami", "minimal", "any", "loop"])
def test_bare_directives_are_there_or_not(name):
    assert getattr(block(name), name) is True
    assert getattr(block("errors"), name) is False
    assert block(f"{name} {{\n}}").directives == (name,)
    assert fault(f"{name} x") == f"{name}: it takes no more words, but there is 'x'"
    assert fault(f"{name} {{\nx\n}}") == f"{name}: has no options, but there is 'x'"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("bind", "bind: an address or interface is missing"),
        *(
            (
                f"bind {word}",
                (
                    "bind: an address or interface must be such as 169.254.20.10, fd00::10 or eth0,"
                    f" not {word!r}"
                ),
            )
            for word in ("127.0.0.1:53", "[::1]", "127.0.0.1,::1", "10.0.0.0/8", "eth0,")
        ),
        (
            "bind lo {\nexcept 10.0.0.0/8\n}",
            "bind: except must be such as 169.254.20.10, fd00::10 or eth0, not '10.0.0.0/8'",
        ),
        ("bind lo {\nexcept\n}", "bind: except needs a value"),
        ("bind lo {\nbut ::1\n}", "bind: unknown option 'but'"),
        ("reload foo", "reload: interval must be a duration such as 30s or 1m30s, not 'foo'"),
        ("reload 10s foo", "reload: jitter must be a duration such as 30s or 1m30s, not 'foo'"),
        ("reload 10s 2s 1s", "reload: it takes no more words, but there is '1s'"),
        ("reload 1s", "reload: interval must be at least 2s, not '1s'"),
        ("reload 0s", "reload: interval must be at least 2s, not '0s'"),
        ("reload 3s 0.5s", "reload: jitter must be 0 or at least 1s, not '0.5s'"),
        ("reload 3s -2s", "reload: jitter must be 0 or at least 1s, not '-2s'"),
        ("bufsize x", "bufsize: size must be a whole number from 512 to 4096, not 'x'"),
        ("bufsize 511", "bufsize: size must be a whole number from 512 to 4096, not '511'"),
        ("bufsize 4097", "bufsize: size must be a whole number from 512 to 4096, not '4097'"),
        ("bufsize 600 700", "bufsize: it takes no more words, but there is '700'"),
        ("timeouts", "timeouts: no timeout is given"),
        ("timeouts {\n}", "timeouts: no timeout is given"),
        ("timeouts 5s", "timeouts: it takes no more words, but there is '5s'"),
        ("timeouts {\nread\n}", "timeouts: read needs a value"),
        ("timeouts {\nread 0\n}", "timeouts: read must be at least 1s, not '0s'"),
        ("timeouts {\nidle 25h\n}", "timeouts: idle must be at most 24h, not '25h'"),
        ("timeouts {\nwait 5s\n}", "timeouts: unknown option 'wait'"),
        ("timeouts {\nmaxtcpqueries 0\n}", "timeouts: maxtcpqueries must be above 0, or -1 for no"),
    ],
)
def test_broken_ones_are_told(body, why):
    assert fault(body).startswith(why)
