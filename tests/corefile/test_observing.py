import pytest

from nodecache.corefile import (
    Consolidation,
    DnstapOptions,
    ErrorsOptions,
    HealthOptions,
    MetadataOptions,
    PprofOptions,
    PrometheusOptions,
    ReadyOptions,
    TlsOptions,
    TraceOptions,
)
from tests.helpers.corefiles import block, body_errors, corefile

COMMON = (
    '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" '
    "{rcode} {>rflags} {rsize} {duration}"
)


def fault(body: str) -> str:
    (only,) = body_errors(body)
    return only.split(": ", 1)[1]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("errors", ErrorsOptions()),
        ("errors stdout", ErrorsOptions()),
        ("errors {\nstacktrace\n}", ErrorsOptions()),
        (
            'errors {\nconsolidate 5m ".* i/o timeout$" warning\nconsolidate 30s "^refused"\n}',
            ErrorsOptions(
                consolidations=(
                    Consolidation(300.0, ".* i/o timeout$", "warning"),
                    Consolidation(30.0, "^refused"),
                )
            ),
        ),
        (
            "errors {\nconsolidate 1m x info show_first\nconsolidate 1m y show_first\n}",
            ErrorsOptions(
                consolidations=(
                    Consolidation(60.0, "x", "info", show_first=True),
                    Consolidation(60.0, "y", show_first=True),
                )
            ),
        ),
    ],
)
def test_errors_is_read(body, expected):
    assert block(body).errors == expected


@pytest.mark.parametrize(
    ("body", "names", "form", "classes"),
    [
        ("log", (".",), COMMON, {"all"}),
        ("log Example.org", ("example.org.",), COMMON, {"all"}),
        ('log . "{remote} {type}"', (".",), "{remote} {type}", {"all"}),
        ("log a b {combined}", ("a.", "b."), COMMON + ' "{>opcode}"', {"all"}),
        ('log a "{common} {/forward/upstream}"', ("a.",), COMMON + " {/forward/upstream}", {"all"}),
        ("log {\nclass denial error\n}", (".",), COMMON, {"denial", "error"}),
        ("log {\nclass denial\nclass success\n}", (".",), COMMON, {"denial", "success"}),
    ],
)
def test_log_is_read_a_format_is_the_last_of_several_words(body, names, form, classes):
    (found,) = block(body).logs
    assert (found.names, found.format, found.classes) == (names, form, classes)


@pytest.mark.parametrize(
    ("body", "field", "expected"),
    [
        ("health", "health", HealthOptions(address=":8080", lameduck_seconds=0.0)),
        (
            "health localhost:1234 {\nlameduck 4s\n}",
            "health",
            HealthOptions(address="localhost:1234", lameduck_seconds=4.0),
        ),
        ("health bla:a", "health", HealthOptions(address="bla:a")),
        ("health [::1]:8080", "health", HealthOptions(address="[::1]:8080")),
        ("prometheus", "prometheus", PrometheusOptions(address="localhost:9153")),
        ("prometheus :9253", "prometheus", PrometheusOptions(address=":9253")),
        (
            "prometheus :1 {\nruntime_metrics\ntls /etc/web.yml\n}",
            "prometheus",
            PrometheusOptions(address=":1", tls_config_file="/etc/web.yml"),
        ),
        ("ready", "ready", ReadyOptions(address=":8181", monitor="until-ready")),
        (
            "ready :8182 {\nmonitor continuously\n}",
            "ready",
            ReadyOptions(address=":8182", monitor="continuously"),
        ),
        ("pprof", "pprof", PprofOptions(address="localhost:6053")),
        ("pprof :1 {\nblock\n}", "pprof", PprofOptions(address=":1")),
        ("pprof {\nblock 20\n}", "pprof", PprofOptions()),
        ("metadata", "metadata", MetadataOptions()),
        ("metadata a B", "metadata", MetadataOptions(zones=("a.", "b."))),
        ("trace", "trace", TraceOptions(endpoint="http://localhost:9411/api/v2/spans")),
        ("trace there:9", "trace", TraceOptions(endpoint="http://there:9/api/v2/spans")),
        ("trace zipkin https://a/b", "trace", TraceOptions(endpoint="https://a/b")),
        ("trace Zipkin a:1", "trace", TraceOptions(endpoint="http://a:1/api/v2/spans")),
        ("trace [::1]:9411", "trace", TraceOptions(endpoint="http://[::1]:9411/api/v2/spans")),
        ("trace {\nevery 0\n}", "trace", TraceOptions(every=0)),
        (
            ("trace datadog there:8126 {\nevery 5\nservice dns\nclient_server\n"
            "datadog_analytics_rate 0.5\n}"),
            "trace",
            TraceOptions(
                endpoint_type="datadog", endpoint="there:8126", every=5, service="dns",
            ),
        ),
        (
            ("trace {\nclient_server false\nzipkin_max_backlog_size 1\nzipkin_max_batch_size 2\n"
            "zipkin_max_batch_interval 3s\n}"),
            "trace",
            TraceOptions(
                zipkin_max_backlog_size=1, zipkin_max_batch_size=2, zipkin_max_batch_seconds=3.0
            ),
        ),
        ("dnstap /tmp/s", "dnstaps", (DnstapOptions(transport="unix", address="/tmp/s"),)),
        (
            "dnstap unix:///tmp/s full",
            "dnstaps",
            (DnstapOptions(transport="unix", address="/tmp/s", is_full=True),),
        ),
        (
            "dnstap tcp://a:6000 full 2 3 {\nidentity me\nversion v\nextra {name}\n}",
            "dnstaps",
            (
                DnstapOptions(
                    transport="tcp", address="a:6000", is_full=True, write_buffer_mib=2,
                    queue_messages=30_000, identity="me", version="v", extra="{name}",
                ),
            ),
        ),
        (
            "dnstap tls://a:6000 {\nskipverify\n}",
            "dnstaps",
            (DnstapOptions(transport="tls", address="a:6000", skip_verify=True),),
        ),
        (
            "dnstap listen tls://:6000 full {\ntls /crt /key /ca\n}",
            "dnstaps",
            (
                DnstapOptions(
                    transport="tls", address=":6000", is_full=True, is_listener=True,
                    tls=TlsOptions(
                        certificate_file="/crt", key_file="/key", authority_file="/ca"
                    ),
                ),
            ),
        ),
    ],
)  # fmt: skip
def test_others_are_read(body, field, expected):
    assert getattr(block(body), field) == expected


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("errors /var/log/x", "errors: destination must be stdout, not '/var/log/x'"),
        ("errors stdout x", "errors: it takes no more words, but there is 'x'"),
        ("errors {\nfoo\n}", "errors: unknown option 'foo'"),
        ("errors {\nstacktrace x\n}", "errors: stacktrace takes no more words"),
        ("errors {\nconsolidate\n}", "errors: consolidate: duration is missing"),
        ("errors {\nconsolidate 1m\n}", "errors: consolidate: pattern is missing"),
        ("errors {\nconsolidate 1 x\n}", "errors: consolidate: duration must be a duration"),
        ("errors {\nconsolidate 1m (\n}", "errors: consolidate: pattern must be a regular exp"),
        ("errors {\nconsolidate 1m x loud\n}", "errors: consolidate: level must be one of warn"),
        (
            "errors {\nconsolidate 1m x show_first info\n}",
            "errors: consolidate takes no more words, but there is 'info'",
        ),
        (
            "errors {\nconsolidate 1m x info error\n}",
            "errors: consolidate: last word must be show_first, not 'error'",
        ),
        ("log a..b", "log: name must be a domain name, not 'a..b'"),
        ("log {\nclass\n}", "log: class needs a value"),
        ("log {\nclass abracadabra\n}", "log: class must be one of all, success, denial, error"),
        ("log {\nunknown\n}", "log: unknown option 'unknown'"),
        ("health bla", "health: address must be HOST:PORT, not 'bla'"),
        ("health ::1:8080", "health: address must be HOST:PORT, not '::1:8080'"),
        ("health :1 :2", "health: it takes no more words, but there is ':2'"),
        ("health {\nlameduck\n}", "health: lameduck needs a value"),
        ("health {\nlameduck 5\n}", "health: lameduck must be a duration such as 30s"),
        ("prometheus /foo", "prometheus: address must be HOST:PORT, not '/foo'"),
        ("prometheus {}", "prometheus: address must be HOST:PORT, not '{}'"),
        ("prometheus a:1 b:2 c:3", "prometheus: it takes no more words, but there is 'b:2'"),
        ("prometheus {\nruntime_metrics x\n}", "prometheus: runtime_metrics takes no more words"),
        ("prometheus {\ntls\n}", "prometheus: tls needs a value"),
        ("prometheus {\ntls a b\n}", "prometheus: tls takes no more words"),
        ("prometheus {\ntls a\ntls a\n}", "prometheus: tls can be given only once"),
        ("prometheus {\nhttps a\n}", "prometheus: unknown option 'https'"),
        ("ready {\nmonitor\n}", "ready: monitor needs a value"),
        ("ready {\nmonitor until-ready twice\n}", "ready: monitor takes no more words"),
        ("ready {\nwatch\n}", "ready: unknown option 'watch'"),
        ("ready {\nmonitor sometimes\n}", "ready: monitor must be until-ready or continuously"),
        ("pprof {\nblock x\n}", "pprof: block must be a whole number, not 'x'"),
        ("pprof a b", "pprof: address must be HOST:PORT, not 'a'"),
        ("metadata {\nx\n}", "metadata: has no options, but there is 'x'"),
        ("trace a b c", "trace: kind must be zipkin or datadog, not 'a'"),
        ("trace jaeger a:1", "trace: kind must be zipkin or datadog, not 'jaeger'"),
        ("trace :9411", "trace: endpoint must be HOST:PORT or an address of HTTP, not ':9411'"),
        ("trace a:b", "trace: endpoint must be HOST:PORT or an address of HTTP, not 'a:b'"),
        ("trace a:99999", "trace: endpoint must be HOST:PORT or an address of HTTP, not 'a:99999'"),
        ("trace ftp://http/", "trace: endpoint must be HOST:PORT or an address of HTTP, not 'ftp"),
        ("trace http:///spans", "trace: endpoint must be HOST:PORT or an address of HTTP, not"),
        ("trace {\nevery\n}", "trace: every needs a value"),
        ("trace {\nevery 1 2\n}", "trace: every takes no more words"),
        ("trace {\nservice a b\n}", "trace: service takes no more words"),
        ("trace {\nsample 1\n}", "trace: unknown option 'sample'"),
        ("trace {\nzipkin_max_backlog_size x\n}", "trace: zipkin_max_backlog_size must be a whole"),
        ("trace {\nzipkin_max_batch_size -1\n}", "trace: zipkin_max_batch_size must be a whole"),
        ("trace {\nzipkin_max_batch_interval 5\n}", "trace: zipkin_max_batch_interval must be a"),
        (
            "trace {\nzipkin_max_batch_interval -1s\n}",
            "trace: zipkin_max_batch_interval must be at",
        ),
        ("trace {\nevery -1\n}", "trace: every must be a whole number of 0 or more, not '-1'"),
        ("trace {\nclient_server maybe\n}", "trace: client_server must be true or false"),
        ("trace {\ndatadog_analytics_rate 2\n}", "trace: datadog_analytics_rate must be a number"),
        ("dnstap", "dnstap: endpoint is missing"),
        ("dnstap listen", "dnstap: endpoint is missing"),
        ("dnstap udp://a:1", "dnstap: endpoint must be a path, unix://, tcp:// or tls://, not"),
        ("dnstap tcp://a", "dnstap: endpoint must be HOST:PORT, not 'a'"),
        ("dnstap /s full 0", "dnstap: write buffer (MiB) must be a whole number from 1 to 1024"),
        ("dnstap /s full 1 5000", "dnstap: queue (10,000 messages) must be a whole number from 1"),
        ("dnstap /s {\nidentity\n}", "dnstap: identity needs a value"),
        ("dnstap /s {\ntls a b\n}", "dnstap: tls is for listeners only"),
        ("dnstap listen tls://:1 {\ntls a\n}", "dnstap: tls: key is missing"),
    ],
)
def test_broken_ones_are_told(body, why):
    assert fault(body).startswith(why)


def test_datadog_is_taken_with_a_warning_for_it_is_not_spoken():
    (warning,) = corefile(".:53 {\ntrace datadog localhost:8126\nwhoami\n}\n").warnings
    assert warning.endswith("trace: no spans are sent: only zipkin is spoken here, not datadog")


@pytest.mark.parametrize("directive", ["health", "prometheus", "ready", "pprof"])
@pytest.mark.parametrize("address", ["a:b", ":99999", "127.0.0.1:", "[::1]:http"])
def test_a_page_at_a_port_that_is_none_is_told_and_the_rest_is_served(directive, address):
    """`nodecache check` passed it, and the agent's probe was nowhere."""
    found = corefile(f". {{\n{directive} {address}\nwhoami\n}}")
    assert found.left_out == (
        f"Corefile:2: {directive}: left out: address must have a port from 0 to 65535, not {address!r}",
    )
    assert corefile(f". {{\n{directive} 127.0.0.1:0\nwhoami\n}}").left_out == ()
