import pytest

from nodecache.corefile import CacheOptions, PrefetchOptions, StaleOptions
from tests.helpers.corefiles import block, body_errors, corefile


def cache(options: str = "", words: str = "") -> CacheOptions:
    return block(f"cache {words} {{\n{options}\n}}").cache


def fault(options: str, words: str = "") -> str:
    """The one error in a cache directive, without file and line."""
    (only,) = body_errors(f"cache {words} {{\n{options}\n}}")
    return only.partition(": cache: ")[2]


def test_defaults_are_coredns_s():
    assert block("cache").cache == CacheOptions(
        success_capacity=9984, success_ttl=3600, success_min_ttl=5,
        denial_capacity=9984, denial_ttl=1800, denial_min_ttl=5,
        servfail_seconds=None, prefetch=None, serve_stale=None, keepttl=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("30", CacheOptions(success_ttl=30, denial_ttl=30, has_denial=True)),
        ("Example.nl b.", CacheOptions(zones=("example.nl.", "b."))),
        ("aaa example.nl", CacheOptions(zones=("aaa.", "example.nl."))),
        (
            "25 10.0.0.0/15",
            CacheOptions(
                success_ttl=25, denial_ttl=25, has_denial=True,
                zones=("0.10.in-addr.arpa.", "1.10.in-addr.arpa."),
            ),
        ),
        ("{}", CacheOptions()),
    ],
)  # fmt: skip
def test_a_first_number_is_the_ttl_and_the_rest_are_zones(words, expected):
    assert block(f"cache {words}").cache == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("success 10", CacheOptions(success_capacity=10)),
        (
            "success 10 1800 30",
            CacheOptions(success_capacity=10, success_ttl=1800, success_min_ttl=30),
        ),
        ("denial 10", CacheOptions(denial_capacity=10)),
        (
            "denial 10 15 2",
            CacheOptions(denial_capacity=10, denial_ttl=15, denial_min_ttl=2, has_denial=True),
        ),
        ("success -5 1 0", CacheOptions(success_capacity=-5, success_ttl=1, success_min_ttl=0)),
        (
            "success 10 9999999999 9999999999",
            CacheOptions(success_capacity=10, success_ttl=2**31 - 1, success_min_ttl=2**31 - 1),
        ),
        ("prefetch 10", CacheOptions(prefetch=PrefetchOptions(amount=10))),
        ("prefetch 0", CacheOptions(prefetch=PrefetchOptions(amount=0))),
        (
            "prefetch 3 30s 20%",
            CacheOptions(prefetch=PrefetchOptions(amount=3, seconds=30.0, percentage=20)),
        ),
        ("servfail 0", CacheOptions(servfail_seconds=0.0)),
        ("servfail 5m", CacheOptions(servfail_seconds=300.0)),
        ("disable success", CacheOptions(disable_success=(".",))),
        ("disable denial a B.", CacheOptions(disable_denial=("a.", "b."))),
        ("keepttl", CacheOptions(keepttl=True)),
    ],
)
def test_options_are_read(options, expected):
    assert cache(options) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", StaleOptions(seconds=3600.0)),
        ("20m", StaleOptions(seconds=1200.0)),
        ("1h20m", StaleOptions(seconds=4800.0)),
        ("0", StaleOptions(seconds=0.0)),
        ("0 verify", StaleOptions(seconds=0.0, mode="verify")),
        ("1h IMMEDIATE", StaleOptions()),
        ("1h immediate 30s", StaleOptions(response_ttl=30)),
        ("1h immediate 4294967295s", StaleOptions(response_ttl=2**32 - 1)),
        ("1h immediate 30s 5m", StaleOptions(response_ttl=30, failure_recheck_seconds=300.0)),
        ("1h verify 100ms", StaleOptions(mode="verify", verify_timeout_seconds=0.1)),
        (
            "1h VERIFY 0 1m 250ms",
            StaleOptions(mode="verify", response_ttl=60, failure_recheck_seconds=0.25),
        ),
        ("\nserve_stale_policy PREFER_POSITIVE", StaleOptions(prefers_positive=True)),
    ],
)
def test_serve_stale_is_read(words, expected):
    assert cache(f"serve_stale {words}").serve_stale == expected


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("success", "success: capacity is missing"),
        ("success x", "success: capacity must be a whole number, not 'x'"),
        ("success 1 0", "success: TTL must be a whole number of 1 or more, not '0'"),
        ("success 1 1 -1", "success: least TTL must be a whole number of 0 or more, not '-1'"),
        ("denial aaa", "denial: capacity must be a whole number, not 'aaa'"),
        ("positive 15", "unknown option 'positive'"),
        ("prefetch", "prefetch: amount is missing"),
        ("prefetch -1", "prefetch: amount must be a whole number of 0 or more, not '-1'"),
        ("prefetch 0 blurp", "prefetch: duration must be a duration such as 30s"),
        ("prefetch 1 1m 20", "prefetch: percentage must end in %, not '20'"),
        ("prefetch 1 1m 5%", "prefetch: percentage must be a whole number from 10 to 90"),
        ("serve_stale 20", "serve_stale: duration must be a duration such as 30s"),
        ("serve_stale -20m", "serve_stale: duration must be at least 0s, not '-20m'"),
        ("serve_stale 1m nono", "serve_stale: mode must be immediate or verify, not 'nono'"),
        ("serve_stale 1h immediate 100ms", "serve_stale: TTL must be whole seconds, not '100ms'"),
        ("serve_stale 1h immediate 4294967296s", "serve_stale: TTL must be at most 4294967295s"),
        ("serve_stale 1h immediate 30s 5m1s", "serve_stale: recheck must be at most 5m, not"),
        ("serve_stale 1h immediate 30s 1s x", "serve_stale takes no more words, but there is"),
        ("serve_stale 1h verify -1ms", "serve_stale: timeout must be at least 0s, not '-1ms'"),
        ("serve_stale 1h verify 1s 1s 1s x", "serve_stale takes no more words"),
        ("serve_stale_policy prefer_positive", "serve_stale_policy needs serve_stale"),
        ("serve_stale\nserve_stale_policy x", "serve_stale_policy must be prefer_positive"),
        ("serve_stale\nserve_stale_policy", "serve_stale_policy needs a value"),
        ("servfail", "servfail needs a value"),
        ("servfail 6m", "servfail must be at most 5m, not '6m'"),
        ("servfail 20", "servfail must be a duration such as 30s or 1m30s, not '20'"),
        ("servfail -1s", "servfail must be at least 0s, not '-1s'"),
        ("servfail 1m x", "servfail takes no more words, but there is 'x'"),
        ("disable", "disable: kind is missing"),
        ("disable nothing", "disable: kind must be success or denial, not 'nothing'"),
        ("disable success a..b", "disable: zone must be a domain name, not 'a..b'"),
        ("keepttl yes", "keepttl takes no more words, but there is 'yes'"),
    ],
)
def test_broken_options_are_told(options, why):
    assert fault(options).startswith(why)


def test_a_policy_can_be_given_only_once():
    twice = "serve_stale\nserve_stale_policy prefer_positive\nserve_stale_policy prefer_positive"
    assert fault(twice) == "serve_stale_policy can be given only once"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("0 example.nl", "TTL must be a whole number of 1 or more, not '0'"),
        ("-1", "TTL must be a whole number of 1 or more, not '-1'"),
        ("a..b", "zone must be a domain name, not 'a..b'"),
    ],
)
def test_broken_words_are_told(words, why):
    assert fault("", words) == why


def test_a_capacity_of_nothing_is_told():
    found = corefile(". {\ncache {\nsuccess 0 5\ndenial 10\n}\n}")
    assert found.warnings == (
        "Corefile:3: cache: success 0 keeps 1024 entries, as in CoreDNS; 'disable success' keeps none",
    )
