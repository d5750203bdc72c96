"""An agent and a node to be examined, healthy but for what is planted."""

import json
from pathlib import Path

from nodecache.command.doctor.findings import Finding
from nodecache.command.doctor.subject import Metrics, Subject
from nodecache.config.flags import parse_flags
from nodecache.corefile import parse

HEALTHY = """\
# TYPE nodecache_config_last_reload_successful gauge
nodecache_config_last_reload_successful 1
nodecache_config_is_last_known_good 0
nodecache_lease_held 1
nodecache_build_info{code="compiled"} 1
nodecache_rules_info{backend="nftables",fail_open="socket"} 1
nodecache_rule_packets_total{flow="prerouting_udp_to_dns"} 4711
nodecache_probes_total{outcome="answered"} 5000
nodecache_probes_total{outcome="unanswered"} 1
nodecache_cluster_dns_pods{source="dns"} 2
nodecache_cache_budget_bytes 67108864
process_resident_memory_bytes 60000000
process_open_fds 40
process_max_fds 1048576
"""
FLAGS = ("-localip", "169.254.20.10,10.96.0.10")
TABLES = json.dumps({"nftables": [{"table": {"family": "inet", "name": "nodecache"}}]})
NO_CHAINS = json.dumps({"nftables": []})


def subject_of(
    root: Path = Path("/none"),
    *,
    metrics: str | None = HEALTHY,
    flags=FLAGS,
    corefile: str = "",
    listings: dict[tuple[str, ...], str] | None = None,
) -> Subject:
    told = {
        ("nft", "-j", "list", "tables"): TABLES,
        ("nft", "-j", "list", "chains"): NO_CHAINS,
        **(listings or {}),
    }
    return Subject(
        flags=parse_flags([*flags]),
        env={},
        root=root,
        metrics=Metrics(metrics) if metrics is not None else None,
        corefile=parse(corefile, "Corefile", env={}, default_port=53, read=None)
        if corefile
        else None,
        run=told.get,
    )


def planted(root: Path, path: str, text: str) -> Path:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return root


def one(findings) -> Finding:
    (found,) = list(findings)
    return found


def changed(name: str, value: str) -> str:
    """The healthy page with one series otherwise."""
    lines = [line for line in HEALTHY.splitlines() if not line.startswith(name)]
    return "\n".join([*lines, f"{name} {value}", ""])
