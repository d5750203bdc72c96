"""Checks of a running agent, by its metrics and its container."""

from collections.abc import Iterator

from nodecache.process.cgroup import memory_limit

from .findings import Finding, broken, look, ok
from .subject import Metrics, Subject

AGENT = "agent"
MEMORY = "memory"
CPU = "cpu"
FILES = "descriptors"
PODS = "kube-dns' pods"
MEBI = 1 << 20
BASE_OCTETS = 45 * MEBI  # docs/operations.md, Sizing: what the agent takes before its cache
_MUCH = 0.9
_THROTTLED_SHARE = 0.05
_LOST_PROBES_SHARE = 0.01
_CPU_FILES = ("/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat")
_LOGS = "kubectl -n kube-system logs ds/node-local-dns"


def check_agent(subject: Subject) -> Iterator[Finding]:
    """Whether an agent answers, and what it serves."""
    metrics = subject.metrics
    if metrics is None:
        where = subject.flags.metrics_listen_address or "no address"
        if subject.is_silent:
            yield broken(
                AGENT,
                f"its page at {where} does not answer: the worker hangs, or gets no CPU",
                "what is not answered in time goes to kube-dns, past the cache",
                f"look at cpu below, and at {_LOGS}",
            )
            return
        yield look(
            AGENT,
            f"no agent answers at {where} (-metrics-listen-address); what follows is of files alone",
            "kube-dns answers them, where the cluster's rules are in order",
            "kubectl -n kube-system rollout status ds/node-local-dns",
        )
        return
    yield from _configuration(metrics)
    if not metrics.total("nodecache_lease_held") and metrics.has("nodecache_lease_held"):
        yield broken(
            AGENT,
            "the leased addresses are given up, for the worker did not answer",
            "kube-dns answers them, past the cache",
            f"look at cpu below, and at {_LOGS}",
        )
    replaced = metrics.total("nodecache_worker_replacements_total")
    if replaced:
        yield look(
            AGENT,
            f"{replaced:.0f} workers were replaced since the start",
            "nothing, where it happens once; late answers where it goes on",
            f"{_LOGS} | grep 'worker '",
        )
    yield from _probes(metrics)


def _configuration(metrics: Metrics) -> Iterator[Finding]:
    if metrics.total("nodecache_config_is_last_known_good"):
        what = "it serves the last configuration that worked, for today's is broken"
    elif not metrics.total("nodecache_config_last_reload_successful"):
        what = "it refused the last change of its configuration"
    else:
        form = next((labels["code"] for labels, _ in metrics.each("nodecache_build_info")), "")
        yield ok(AGENT, f"serves, {form}, and its configuration is in force")
        return
    mend = "nodecache check, then kubectl -n kube-system edit configmap node-local-dns"
    yield broken(AGENT, what, "what was changed since is not in force", mend)


def _probes(metrics: Metrics) -> Iterator[Finding]:
    """The keeper's probes of the worker."""
    answered = metrics.total("nodecache_probes_total", outcome="answered")
    lost = metrics.total("nodecache_probes_total", outcome="unanswered")
    if lost > _LOST_PROBES_SHARE * (answered + lost):
        yield look(
            AGENT,
            f"{lost:.0f} of {answered + lost:.0f} of its own probes were not answered in time",
            "answers are late at times",
            "a higher CPU request, no CPU limit; see cpu below",
        )


def check_memory(subject: Subject) -> Iterator[Finding]:
    """The budget of the caches against the container's limit."""
    if (metrics := subject.metrics) is None:
        return
    limit = memory_limit(subject.root)
    if limit is None:
        yield ok(MEMORY, "the container has no limit")
        return
    budget = metrics.total("nodecache_cache_budget_bytes")
    used = metrics.total("process_resident_memory_bytes")
    told = f"limit {limit / MEBI:.0f} MiB, budget {budget / MEBI:.0f} MiB, in use {used / MEBI:.0f} MiB"
    meaning = "the kernel ends the worker; it is replaced, with an empty cache"
    if BASE_OCTETS + budget > limit:
        mend = f"a limit of {(BASE_OCTETS + budget) / MEBI:.0f}Mi, or nodecache {{ budget … }} in the Corefile"
        yield look(
            MEMORY, f"the limit is below what the agent and its budget need: {told}", meaning, mend
        )
    elif used > _MUCH * limit:
        yield look(MEMORY, f"nearly all of the limit is in use: {told}", meaning, "a higher limit")
    else:
        yield ok(MEMORY, told)


def check_cpu(subject: Subject) -> Iterator[Finding]:
    """Whether a CPU limit slows the agent down."""
    for path in _CPU_FILES:
        text = subject.read(path)
        if text is None:
            continue
        stats = {
            words[0]: int(words[1])
            for line in text.splitlines()
            if len(words := line.split()) == 2 and words[1].isdecimal()
        }
        periods, throttled = stats.get("nr_periods", 0), stats.get("nr_throttled", 0)
        if periods and throttled > _THROTTLED_SHARE * periods:
            share = 100 * throttled / periods
            yield look(
                CPU,
                f"throttled in {share:.0f} % of the periods",
                "answers wait for up to 0.1 s each time",
                "take the CPU limit away: kubectl -n kube-system edit ds node-local-dns",
            )
        else:
            yield ok(CPU, "not throttled")
        return


def check_descriptors(subject: Subject) -> Iterator[Finding]:
    """Open files against their limit."""
    if (metrics := subject.metrics) is None or not metrics.total("process_max_fds"):
        return
    used, limit = metrics.total("process_open_fds"), metrics.total("process_max_fds")
    told = f"{used:.0f} of {limit:.0f} are open"
    if used > _MUCH * limit:
        yield look(FILES, told, "new TCP connections are refused", "a higher limit (ulimit -n)")
    else:
        yield ok(FILES, told)


def check_pods(subject: Subject) -> Iterator[Finding]:
    """kube-dns' pods, as the agent knows them."""
    metrics = subject.metrics
    if metrics is None or not metrics.has("nodecache_cluster_dns_pods"):
        return
    known = metrics.total("nodecache_cluster_dns_pods")
    if known:
        yield ok(PODS, f"{known:.0f} are known and asked themselves")
    else:
        yield look(
            PODS,
            "none is known: everything is asked of the cluster DNS address",
            "when the agent dies, what they ask of the node-local address is lost",
            "the Role of deploy/components/endpointslices, and the agent's log: what the API server says"
            if subject.flags.endpoints == "api"
            else "the Service kube-dns-pods of deploy/nodelocaldns.yaml, and its endpoints",
        )
