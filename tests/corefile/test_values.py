import contextlib
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.corefile import values

HOUR = 3600.0


@pytest.mark.parametrize(
    ("word", "seconds"),
    [
        ("0", 0.0),
        ("+0", 0.0),
        ("-0", 0.0),
        ("30s", 30.0),
        ("0.5s", 0.5),
        (".5s", 0.5),
        ("5.s", 5.0),
        ("1h20m", 4800.0),
        ("1h1m1s1ms1us1ns", 3661.001001001),
        ("300ms", 0.3),
        ("1µs", 1e-6),
        ("1μs", 1e-6),
        ("-1.5h", -1.5 * HOUR),
        ("+5m", 300.0),
        ("60ns", 60e-9),
    ],
)
def test_durations_are_read_as_go_reads_them(word, seconds):
    assert values.go_duration(word) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "word", ["", "20", "s", ".s", "1", "-", "1x", "1 s", "1s ", "s1", "1d", "--1s", "1e3s", "٣s"]
)
def test_what_go_does_not_take_for_a_duration_is_refused(word):
    with pytest.raises(ValueError, match="must be a duration such as 30s"):
        values.go_duration(word)


def test_durations_past_go_s_range_are_refused():
    with pytest.raises(ValueError, match="below 292 years"):
        values.go_duration("9999999h")


@given(st.text())
def test_any_word_is_a_duration_or_a_value_error(word):
    with contextlib.suppress(ValueError):
        values.go_duration(word)


@pytest.mark.parametrize(
    ("read", "word", "why"),
    [
        (values.duration(2.0), "1s", "must be at least 2s, not '1s'"),
        (values.duration(0), "-1s", "must be at least 0s, not '-1s'"),
        (values.duration(0, 300.0), "6m", "must be at most 5m, not '6m'"),
        (values.positive_duration, "0s", "must be above 0, not '0s'"),
        (values.integer, "ten", "must be a whole number, not 'ten'"),
        (values.integer, "1.5", "must be a whole number, not '1.5'"),
        (values.integer, "9" * 30, "must be a whole number, not"),
        (values.whole(1), "0", "must be a whole number of 1 or more, not '0'"),
        (values.whole(10, 90), "5", "must be a whole number from 10 to 90, not '5'"),
        (values.octets, "0", "must be a size such as 64Mi, not '0'"),
        (values.octets, "64X", "must be a size such as 64Mi, not '64X'"),
        (values.one_of("a", "b"), "c", "must be a or b, not 'c'"),
        (values.one_of("a", "b", "c"), "d", "must be one of a, b, c, not 'd'"),
        (values.on_or_off, "yes", "must be on or off, not 'yes'"),
        (values.boolean, "yes", "must be true or false, not 'yes'"),
        (values.ip, "1.2.3", "must be an IP address, not '1.2.3'"),
        (values.ip, "01.2.3.4", "must be an IP address, not '01.2.3.4'"),
        (values.ip, "fe80::1%eth0", "must be an IP address without a scope"),
        (values.network, "10.0.0.0", "must be a network in CIDR notation"),
        (values.network, "10.0.0.0/255.0.0.0", "must be a network in CIDR notation"),
        (values.network, "10.0.0.0/33", "must be a network in CIDR notation"),
        (values.host_port, "localhost", "must be HOST:PORT, not 'localhost'"),
        (values.host_port, "::1:53", "must be HOST:PORT, not '::1:53'"),
        (values.host_port, "[::1]", r"must be HOST:PORT, not '\[::1\]'"),
        (values.port, "0", "must be a whole number from 1 to 65535, not '0'"),
        (values.pattern, "(", r"must be a regular expression \(RE2\), not '\(': missing \)"),
        (values.pattern, "(?=a)", r"must be a regular expression \(RE2\)"),
        (values.pattern, "a" * 10_001, "must be at most 10000 octets long, not 10001"),
    ],
)
def test_errors_say_what_is_wanted_and_what_came(read, word, why):
    with pytest.raises(ValueError, match=why):
        read(word)


@pytest.mark.parametrize(
    ("read", "word", "value"),
    [
        (values.integer, "-7", -7),
        (values.integer, "+7", 7),
        (values.whole(0, 3), "3", 3),
        (values.octets, "1000", 1000),
        (values.octets, "64Mi", 64 << 20),
        (values.octets, "64M", 64_000_000),
        (values.octets, "1gi", 1 << 30),
        (values.octets, "512KiB", 512 << 10),
        (values.one_of("verify"), "VERIFY", "verify"),
        (values.on_or_off, "on", True),
        (values.boolean, "F", False),
        (values.ip, "::ffff:10.0.0.1", ip_address("::ffff:10.0.0.1")),
        (values.network, "10.1.2.3/8", ip_network("10.0.0.0/8")),
        (values.host_port, ":53", ":53"),
        (values.host_port, "[::1]:53", "[::1]:53"),
        (values.host_port, "bla:a", "bla:a"),
        (values.pattern, r"^\d+\.(?P<x>a|b)$", r"^\d+\.(?P<x>a|b)$"),
    ],
)
def test_sound_words_are_read(read, word, value):
    assert read(word) == value


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0s"), (0.5, "0.5s"), (90, "90s"), (300, "5m"), (86400, "24h")]
)
def test_seconds_are_shown_in_the_largest_whole_unit(seconds, shown):
    assert values.show_seconds(seconds) == shown
