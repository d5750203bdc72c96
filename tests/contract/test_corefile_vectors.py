"""The original's own cases: bodies of a server block that it takes, and such that it refuses.

The cases are those of the tables in CoreDNS's setup tests as our specification lists them, the
newest version where versions differ. Two are not as there: upstreams over HTTPS are refused, and a
TO that ends in a number is taken for a broken address and never for a host name.
"""

import pytest

from tests.helpers.corefiles import body_errors

TO = "forward . 127.0.0.1"

TAKEN = [
    "cache",
    "cache {}",
    "cache example.nl {\nsuccess 10\n}",
    "cache example.nl {\nsuccess 10 1800 30\n}",
    "cache example.nl {\nsuccess 10\ndenial 10 15\n}",
    "cache example.nl {\nsuccess 10\ndenial 10 15 2\n}",
    "cache 25 example.nl {\nsuccess 10\ndenial 10 15\n}",
    "cache 25 example.nl {\nsuccess 10\ndenial 10 15 5\n}",
    "cache aaa example.nl",
    "cache {\nprefetch 10\n}",
    *(
        f"cache {{\nserve_stale {words}\n}}"
        for words in (
            "", "20m", "1h20m", "0m", "0", "0 verify", "0 immediate", "0 VERIFY",
            "1h immediate 30s", "1h immediate 30s 30s", "1h immediate 4294967295s",
            "1h immediate 0", "1h verify 100ms", "1h verify 100ms 30s", "1h verify 100ms 30s 30s",
            "1h verify 0", "1h verify 0 1m", "1h VERIFY 250ms", "1h verify 0 0 5m",
        )
    ),
    "cache {\nserve_stale_policy PREFER_POSITIVE\nserve_stale\n}",
    *(f"cache {{\nservfail {word}\n}}" for word in ("1s", "5m", "0s", "0")),
    "cache {\ndisable denial example.com example.org\ndisable success\n}",
    "cache {\nkeepttl\n}",
    TO,
    "forward . 127.0.0.1:53",
    "forward . 127.0.0.1:8080",
    "forward . [::1]:53",
    "forward . [2003::1]:53",
    "forward 10.9.3.0/18 127.0.0.1",
    "forward . ::1\nforward com ::2",
    "forward . /etc/resolv.conf",
    *(
        f"{TO} {{\n{option}\n}}"
        for option in (
            "health_check 0.5s domain example.org", "health_check 0.5s no_rec domain example.org",
            "health_check 0.5s domain .", "except miek.nl", "max_fails 3", "force_tcp",
            "prefer_udp", "force_tcp\nprefer_udp", "max_concurrent 1000", "max_connect_attempts 0",
            "max_connect_attempts 5", "max_idle_conns 10", "max_idle_conns 0", "tls",
            "source_address 192.0.2.1", "source_address ::ffff:192.0.2.1", "next NXDOMAIN",
            "failover ServFail Refused", "failfast_all_unhealthy_upstreams", "read_timeout 5s",
            "tls_servername dns", "max_age 30s", "resolver 127.0.0.1:53 ::1",
        )
    ),
    "forward . tls://127.0.0.1%example.net:854 tls://127.0.0.2%example.net {\ntls\n}",
    "forward . tls://[2400:3200::1%dns.alidns.com]:853 {\ntls\n}",
    "forward . tls://fe80::1%example.com",
    "reload",
    "reload 10s",
    "reload 10s 2s",
    "reload 2s 0s",
    "health",
    "health localhost:1234 {\nlameduck 4s\n}",
    "health bla:a",
    "prometheus",
    "prometheus localhost:53",
    "prometheus {\nruntime_metrics\n}",
    "bind 1.2.3.4 ::5",
    "bind 1.2.3.4 lo",
    "bind lo {\nexcept 127.0.0.1\n}",
    "errors",
    "errors stdout",
    "errors {\nconsolidate 1m error\n}",
    "errors {\nconsolidate 1m error warning\n}",
    "errors {\nconsolidate 1m error info show_first\n}",
    "errors {\nconsolidate 1m error show_first\nconsolidate 5s .*$\n}",
    "loop",
    "log",
    "log . {combined}",
    'log example.org "{remote}"',
    "log {\nclass denial\nclass error\n}",
    "ready :8080",
    "timeouts {\nread 1m\nwrite 5\n}",
    "bufsize 1232",
    "dns64",
    "dns64 64:ff9b::/96",
    "dns64 {\ntranslate_all\nprefix 64:ff9b::/96\n}",
    "loadbalance",
    "loadbalance weighted wfile {\nreload 10s\n}",
    "hosts /etc/hosts example.org {\nttl 60\nfallthrough\n}",
    'template IN A {\nmatch .*\nanswer "{{ .Name }} 60 IN A 1.2.3.4"\nrcode NXDOMAIN\n}',
    "rewrite name a.com b.com",
    "rewrite edns0 local set 0xffee abcedef",
    "whoami",
    "debug",
    "metadata example.org",
    "pprof :1234 {\nblock 20\n}",
    "trace datadog localhost:8126 {\nevery 100\n}",
    "acl {\nblock type A net 192.168.0.0/16\n}",
    "minimal",
    "any",
]  # fmt: skip

REFUSED = [
    "cache example.nl {\nsuccess\ndenial 10 15\n}",
    "cache example.nl {\nsuccess 15\ndenial aaa\n}",
    "cache example.nl {\npositive 15\nnegative aaa\n}",
    "cache 0 example.nl",
    "cache -1 example.nl",
    "cache 1 example.nl {\nprefetch -1\n}",
    "cache 1 example.nl {\nprefetch 0 blurp\n}",
    "cache\ncache",
    *(
        f"cache {{\nserve_stale {words}\n}}"
        for words in (
            "20", "-20m", "aa", "1m nono", "0 after nono", "1h immediate 100ms",
            "1h immediate 4294967296s", "1h immediate -1s", "1h immediate garbage",
            "1h immediate 30s extra", "1h verify -1ms", "1h verify garbage",
            "1h verify 100ms 500ms", "1h verify 100ms -1s", "1h verify 100ms 30s extra",
            "1h immediate 30s 5m1s", "1h immediate 30s 30s extra",
        )
    ),
    "cache {\nserve_stale_policy prefer_positive\n}",
    "cache {\nserve_stale\nserve_stale_policy invalid\n}",
    *(f"cache {{\nservfail {words}\n}}" for words in ("", "6m", "20", "-1s", "aa", "1m invalid")),
    "cache {\ndisable invalid example.com\n}",
    "forward . a27.0.0.1",
    "forward . https://1.1.1.1/",
    f"forward {'x' * 64} 127.0.0.1",
    *(
        f"{TO} {{\n{option}\n}}"
        for option in (
            "blaatl", "health_check 0.5s domain", "health_check 0.5s domain example..org",
            "health_check 0.5s rec", "health_check no_rec", "max_concurrent many",
            "max_concurrent -4", "max_connect_attempts many", "max_idle_conns -1",
            "failfast_all_unhealthy_upstreams false", "failover NOERROR", "failover",
            "next", "next CUSTOM", "source_address not-an-ip", "source_address",
            "read_timeout 0s", "read_timeout -1s", "max_age 1s", "resolver example.org",
        )
    ),
    "forward . tls://127.0.0.1%example.net:854 {\ntls_servername foo\n}",
    "reload foo",
    "reload 10s foo",
    "reload 10s 2s 1s",
    "reload 1s",
    "reload 0s",
    "reload 3s 0.5s",
    "health bla",
    "health bla bla",
    "health localhost:1234 {\nlameduck\n}",
    "health localhost:1234 {\nlameduck ten\n}",
    "prometheus /foo",
    "prometheus a b c",
    "prometheus {}",
    "bind",
    "errors /tmp/errors.log",
    "errors stdout stderr",
    "errors\nerrors",
    "errors {\nconsolidate 1x error\n}",
    "errors {\nconsolidate 1m ())\n}",
    "errors {\nconsolidate 1m error warning info\n}",
    "errors {\nconsolidate 1m error show_first debug\n}",
    "loop argument",
    "log {\nclass\n}",
    "log {\nclass abracadabra\n}",
    "log {\nunknown\n}",
    "timeouts",
    "timeouts {\nread\n}",
    "timeouts {\nread 0\n}",
    "timeouts {\nfoo 1s\n}",
    "bufsize 511",
    "bufsize 4097",
    "dns64 1.2.3.4/24",
    "dns64 64:ff9b::/97",
    "loadbalance fleeb",
    "loadbalance weighted",
    "hosts {\nttl -1\n}",
    "hosts {\nttl 65536\n}",
    "template",
    "template IN",
    "template IN A {\ninvalid\n}",
    "template IN A {\nmatch (?[^)\n}",
    "template IN A {\nrcode UNDEFINED\n}",
    "rewrite",
    "rewrite name",
    "rewrite name regex ( a",
    "whoami x",
    "debug now",
    "acl {\nblock type ABC\n}",
    "acl {\nblock net 10.0.0.0/33\n}",
    "acl {\nallow net 10.0.0.0/8 type\n}",
    "minimal x",
    "any x",
]  # fmt: skip


@pytest.mark.parametrize("body", TAKEN)
def test_what_the_original_takes_is_taken(body):
    assert body_errors(body) == []


@pytest.mark.parametrize("body", REFUSED)
def test_what_the_original_refuses_is_refused(body):
    assert body_errors(body)
