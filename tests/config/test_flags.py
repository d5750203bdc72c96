import contextlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.config.flags import FlagError, HelpWanted, parse_flags, usage

LOCAL = ["-localip", "169.254.20.10,10.96.0.10"]


def fault(*words: str) -> str:
    with pytest.raises(FlagError) as caught:
        parse_flags(words)
    return str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ["-conf", "/etc/Corefile"],
        ["-conf=/etc/Corefile"],
        ["--conf", "/etc/Corefile"],
        ["--conf=/etc/Corefile"],
        ["-conf", "/x", "-conf", "/etc/Corefile"],
        ["-conf", "/etc/Corefile", "--"],
    ],
)
def test_a_flag_is_written_in_any_of_go_s_ways_and_the_last_one_wins(words):
    assert parse_flags([*LOCAL, *words]).conf == "/etc/Corefile"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("-skipteardown", True),
        ("--skipteardown", True),
        ("-skipteardown=true", True),
        ("-skipteardown=T", True),
        ("-skipteardown=0", False),
        ("-skipteardown=False", False),
    ],
)
def test_a_switch_takes_its_value_with_an_equals_sign(word, expected):
    assert parse_flags([*LOCAL, word]).skip_teardown is expected


def test_addresses_of_both_families_are_taken_blanks_and_all():
    flags = parse_flags(["-localip", "169.254.20.10, fd00::10 ,10.96.0.10"])
    assert flags.local_ips == tuple(map(ip_address, ("169.254.20.10", "fd00::10", "10.96.0.10")))
    assert flags.local_ip_texts == ("169.254.20.10", "fd00::10", "10.96.0.10")


def test_no_address_is_needed_where_the_host_is_left_alone():
    flags = parse_flags(["-setupinterface=false", "-setupiptables=false"])
    assert flags.local_ips == ()
    assert not flags.sets_up_host


@pytest.mark.parametrize("word", ["-version", "-plugins"])
def test_no_address_is_needed_only_to_print_something(word):
    assert parse_flags([word]).local_ips == ()


def test_no_service_and_no_health_port_are_as_good_as_any():
    """A chart's empty values, which node-cache starts with."""
    flags = parse_flags([*LOCAL, "-upstreamsvc", "", "-health-port=0"])
    assert (flags.upstream_service, flags.health_port) == ("", 0)


@pytest.mark.parametrize("address", ["", "9353"])
def test_an_address_of_metrics_is_judged_where_it_is_opened(address):
    """node-cache starts with these and answers DNS."""
    flags = parse_flags(
        [*LOCAL, "-metrics-listen-address", address, "-prometheus-listen-address", address]
    )
    assert flags.metrics_listen_address == flags.prometheus_listen_address == address


def test_no_iptables_is_no_rules_at_all():
    flags = parse_flags([*LOCAL, "-setupiptables=false", "-rules", "nftables"])
    assert flags.rules == "none"
    assert flags.sets_up_host


@pytest.mark.parametrize(
    ("word", "seconds"),
    [("60", 60.0), ("60s", 60.0), ("1m", 60.0), ("60ns", 60.0), ("5ns", 5.0), ("1500ms", 1.5)],
)
def test_the_sync_interval_means_what_it_says_and_nanoseconds_mean_seconds(word, seconds):
    assert parse_flags([*LOCAL, "-syncinterval", word]).sync_seconds == seconds


@pytest.mark.parametrize(("word", "seconds"), [("0", 0.0), ("10", 10.0), ("2s", 2.0)])
def test_a_lease_is_a_duration_or_seconds(word, seconds):
    assert parse_flags([*LOCAL, "-lease", word]).lease_seconds == seconds


def test_leased_addresses_are_told_one_by_one_or_are_none_or_by_kind():
    assert parse_flags(LOCAL).leased is None
    assert parse_flags([*LOCAL, "-leased", "none"]).leased == ()
    assert parse_flags([*LOCAL, "-leased", "10.96.0.10"]).leased == (ip_address("10.96.0.10"),)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("65534", (65534, 65534)),
        ("1000:2000", (1000, 2000)),
        ("root", None),
        ("0", None),
        ("", None),
    ],
)
def test_the_worker_s_user_is_a_number_and_root_is_to_stay(word, expected):
    assert parse_flags([*LOCAL, "-user", word]).user == expected


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-foo"], "there is no flag -foo (-h lists them)"),
        (["-localips", "1"], "there is no flag -localips; is 'localip' meant? (-h lists them)"),
        (["---conf", "x"], "bad flag syntax: '---conf'"),
        (["-=x"], "bad flag syntax: '-=x'"),
        (["-conf"], "-conf: needs a value"),
        (["serve"], "extra command line arguments: 'serve'"),
        (["-"], "extra command line arguments: '-'"),
        (["--", "x"], "extra command line arguments: 'x'"),
        (
            ["-setupinterface", "false", "-conf", "x"],
            (
                "extra command line arguments: 'false -conf x' (a switch takes its value with an"
                " equals sign: -setupinterface=false)"
            ),
        ),
        (["-quiet=maybe"], "-quiet: must be true or false, not 'maybe'"),
        ([], "-localip: needs the addresses to serve on, such as 169.254.20.10 (or"),
        (["-localip", "1.2.3.4,"], "-localip: one of the addresses is empty (a comma too many?)"),
        (["-localip", "1.2.3"], "-localip: must be an IP address, not '1.2.3'"),
        (["-localip", "fe80::1%a"], "-localip: must be an IP address without a scope"),
        (["-dns.port", "dns"], "-dns.port: must be a whole number from 1 to 65535, not 'dns'"),
        (["-p", "0"], "-p: must be a whole number from 1 to 65535, not '0'"),
        (["-health-port", "x"], "-health-port: must be a whole number from 0 to 65535"),
        (["-syncinterval", "x"], "-syncinterval: must be a duration such as 30s"),
        (["-syncinterval", "0"], "-syncinterval: must be above 0"),
        (["-lease", "-1s"], "-lease: must be at least 0s, not '-1s'"),
        (["-rules", "ebtables"], "-rules: must be one of auto, nftables, iptables, none, not"),
        (["-log-format", "xml"], "-log-format: must be text or json, not 'xml'"),
        (["-user", "nobody"], "-user: must be a whole number from 0"),
        ([*LOCAL, "-leased", "10.0.0.1"], "-leased: 10.0.0.1 is not among -localip"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(words, why):
    told = fault(*words)
    assert told.startswith(why)
    assert "\n" not in told


@pytest.mark.parametrize("word", ["-h", "-help", "--help"])
def test_help_names_every_flag(word):
    with pytest.raises(HelpWanted) as caught:
        parse_flags([word])
    assert str(caught.value) == usage()
    assert "\n  -localip addresses\n" in usage()


@given(st.lists(st.one_of(st.sampled_from(["-p", "-quiet", "-localip", "53", "--"]), st.text())))
def test_any_command_line_is_flags_or_one_line(words):
    with contextlib.suppress(FlagError, HelpWanted):
        parse_flags(words)
