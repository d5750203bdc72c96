"""Checks of files: the configuration, the node's resolvers, the kubelet's configuration."""

from collections.abc import Iterator
from ipaddress import ip_address

from nodecache.command.sources import faults_of
from nodecache.config.flags import Flags
from nodecache.config.plan import check_places
from nodecache.config.rendering import Lookup, corefile_text
from nodecache.corefile import Corefile, CorefileError, nameservers

from .findings import Finding, broken, look, ok
from .subject import Subject

CONFIG = "configuration"
RESOLVERS = "resolvers"
KUBELET = "kubelet"
_EDIT = "kubectl -n kube-system edit configmap node-local-dns"
_STUB = "127.0.0.53"
_MAX_SERVERS = 3  # resolv.conf(5): MAXNS
_RESOLV_CONF = "/etc/resolv.conf"
_KUBELET_CONFIGS = ("/var/lib/kubelet/config.yaml", "/etc/kubernetes/kubelet-config.yaml")


def read_corefile(
    flags: Flags, env: dict[str, str], lookup: Lookup | None = None
) -> tuple[Corefile | None, list[Finding]]:
    """The Corefile as the agent would read it now (None if it cannot), and the findings about it."""
    try:
        text = corefile_text(flags, env, lookup)
        corefile = text.parse(flags, env)
        check_places(corefile, flags)
    except CorefileError as error:
        return None, [
            broken(
                CONFIG,
                each,
                "the configuration before it serves on; a node that starts now has none",
                _EDIT,
            )
            for each in faults_of(error)
        ]
    found = [
        broken(CONFIG, fault, "what is left out is not served", _EDIT)
        for fault in (*text.left_out, *corefile.left_out, *corefile.unfilled)
    ]
    found += [
        look(CONFIG, str(warning), "works otherwise than it reads", _EDIT)
        for warning in corefile.warnings
    ]
    zones = " ".join(name for block in corefile.blocks for name in block.zone_names)
    return corefile, found or [ok(CONFIG, f"{text.file} serves {zones}")]


def check_resolvers(subject: Subject) -> Iterator[Finding]:
    """The node's resolv.conf, which `__PILLAR__UPSTREAM__SERVERS__` stands for."""
    text = subject.read(_RESOLV_CONF)
    if text is None:
        return
    servers = [named.host for named in nameservers(text)]
    own = [server for server in servers if _is_any_of(server, subject.flags)]
    mend = "point the kubelet's resolvConf at the real one, /run/systemd/resolve/resolv.conf"
    if not servers:
        yield broken(RESOLVERS, f"{_RESOLV_CONF} names no nameserver", "outside names fail", mend)
    for server in own:
        yield broken(
            RESOLVERS,
            f"{_RESOLV_CONF} names {server}, which is the agent itself",
            "outside names would go round in a loop; the agent leaves that server out",
            mend,
        )
    if _STUB in servers:
        yield look(
            RESOLVERS,
            f"{_RESOLV_CONF} names {_STUB}, systemd-resolved's stub",
            "outside names take one hop more, and fail where the stub asks the agent",
            mend,
        )
    if len(servers) > _MAX_SERVERS:
        yield look(
            RESOLVERS,
            f"{_RESOLV_CONF} names {len(servers)} servers; resolvers take {_MAX_SERVERS}",
            "what runs on the node itself never asks the rest; the agent asks all",
            f"leave {_MAX_SERVERS} nameserver lines",
        )
    if servers and not own and _STUB not in servers and len(servers) <= _MAX_SERVERS:
        yield ok(RESOLVERS, f"{_RESOLV_CONF} names {' '.join(servers)}")


def _is_any_of(server: str, flags: Flags) -> bool:
    try:
        return ip_address(server.partition("%")[0]) in flags.local_ips
    except ValueError:
        return False


def check_kubelet(subject: Subject) -> Iterator[Finding]:
    """The DNS servers that the kubelet gives to pods, if its configuration can be read."""
    for path in _KUBELET_CONFIGS:
        if (text := subject.read(path)) is not None:
            yield from _cluster_dns(subject, path, text)
            return


def _cluster_dns(subject: Subject, path: str, text: str) -> Iterator[Finding]:
    import yaml  # noqa: PLC0415 - only where there is a file to read

    try:
        settings = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - it makes texts, lists, dicts
    except yaml.YAMLError as error:
        yield look(KUBELET, f"{path} is no YAML: {error}", "unknown", f"mend {path}")
        return
    named = settings.get("clusterDNS") if isinstance(settings, dict) else None
    if not named or not isinstance(named, list):
        return
    asked = [str(address) for address in named]
    strangers = [address for address in asked if not _is_any_of(address, subject.flags)]
    if strangers:
        own = ",".join(subject.flags.local_ip_texts)
        yield broken(
            KUBELET,
            f"{path} tells pods to ask {' '.join(strangers)}, where the agent does not listen",
            "pods go past the cache",
            f"-localip has to name it too (it is {own}), or clusterDNS one of these",
        )
    else:
        yield ok(KUBELET, f"tells pods to ask {' '.join(asked)}")
