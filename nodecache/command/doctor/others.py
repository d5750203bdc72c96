"""Checks of what else on the node affects DNS: filters, another cache, a replacement of kube-proxy."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from nodecache.host.nftables import NOT_THE_HOSTS, nft_entries
from nodecache.host.options import Address

from .findings import Finding, broken, look
from .listings import iptables_names, iptables_tables, nft_table
from .packets import Drop, Packet, Rule, Table, drops
from .subject import Subject

RULES = "packet rules"
PROXY = "kube-proxy"
CACHE = "another cache"
_CHAINS = ("nft", "-j", "list", "chains")
_FAMILIES = ("ip", "ip6", "inet")
_WAYS = {True: ("prerouting", "input"), False: ("output", "postrouting")}
_CANARY = "KUBE-PROXY-CANARY"  # kube-proxy makes it in every table of iptables' that it uses
# Links of those that do kube-proxy's work in eBPF, and what they are called
_IN_EBPF = {"cilium_host": "Cilium", "bpfin.cali": "Calico's eBPF"}
# Whose chain it is, by how its name or its table's begins, and in whose words it is opened
_OWNERS = (
    ("firewalld", "firewalld", "firewall-cmd --permanent --add-service=dns && firewall-cmd --reload"),
    ("ufw", "ufw", "ufw allow to {address} port {port}"),
    ("cali-", "Calico", "a GlobalNetworkPolicy that lets pods ask {address}, or Felix' defaultEndpointToHostAction: Accept"),
    ("CILIUM_", "Cilium", "a CiliumNetworkPolicy that lets pods ask {address}"),
)  # fmt: skip


def host_tables(subject: Subject) -> list[Table]:
    """Every table but ours and kube-proxy's in which a packet may be dropped or left untracked."""
    listing = subject.run(_CHAINS)
    names: dict[tuple[str, str], None] = {}
    iptables: dict[str, list[str]] = {"ip": [], "ip6": []}
    for chain in nft_entries(listing, "chain"):
        family, name = chain.get("family", ""), chain.get("table", "")
        if family not in _FAMILIES or f"{family} {name}" in NOT_THE_HOSTS or "hook" not in chain:
            continue
        if family != "inet" and iptables_names([name]) and chain["name"].isupper():
            iptables[family].append(name)
        elif chain.get("type") == "filter":
            names[family, name] = None
    found = [nft_table(*each, subject.run(("nft", "-j", "-a", "list", "table", *each))) for each in names]  # fmt: skip
    for family, used in iptables.items():
        found += _saved(subject, f"{family}tables-nft", family, used)
        # Only those that are in use: to list another legacy table would make it.
        legacy = subject.read(f"/proc/net/{family}_tables_names") or ""
        found += _saved(subject, f"{family}tables-legacy", family, legacy.split())
    return found


def _saved(subject: Subject, program: str, family: str, used: list[str]) -> Iterator[Table]:
    for name in iptables_names(used):
        text = subject.run((f"{program}-save", "-t", name))
        yield from iptables_tables(program, family, text or "")


def check_others(subject: Subject) -> Iterator[Finding]:
    """Rules that drop DNS, rules of another node-local cache, and how Services work here."""
    if not subject.flags.local_ips:
        return
    tables = host_tables(subject)
    if subject.metrics is not None:
        yield from _droppers(subject, tables)
    yield from _other_caches(subject, tables)
    yield from _kube_proxy(subject, tables)


# Who drops


@dataclass(slots=True)
class _Dropped:
    """What one rule drops."""

    table: Table
    drop: Drop
    packets: list[Packet] = field(default_factory=list)


def _droppers(subject: Subject, tables: list[Table]) -> Iterator[Finding]:
    found: dict[tuple[str, str, str, str], _Dropped] = {}
    for packet in _packets(subject):
        for table in tables:
            for base, chain in table.chains.items():
                on_the_way = chain.hook in _WAYS[packet.is_to]
                if on_the_way and packet.address.version in table.versions:
                    for drop in drops(table, base, packet):
                        key = (table.program, table.name, drop.rule.chain, drop.rule.text)
                        found.setdefault(key, _Dropped(table, drop)).packets.append(packet)
    for dropped in found.values():
        yield _as_finding(subject, dropped)


def _packets(subject: Subject) -> Iterator[Packet]:
    flags = subject.flags
    for address in flags.local_ips:
        for is_to in (True, False):
            for protocol in ("udp", "tcp"):
                yield Packet(protocol, address, flags.dns_port, is_to)


def _as_finding(subject: Subject, dropped: _Dropped) -> Finding:
    table, rule, packets = dropped.table, dropped.drop.rule, dropped.packets
    owner, mend = _opened(table, rule, packets[0])
    protocols = " and ".join(dict.fromkeys(packet.protocol.upper() for packet in packets))
    addresses = " ".join(dict.fromkeys(str(packet.address) for packet in packets))
    whose = f"{owner}: " if owner else ""
    where = f"{table.program}, table {table.family} {table.name}, chain {rule.chain}"
    side = "queries to" if packets[0].is_to else "replies from"
    what = f"{whose}{where} drops {protocols} {side} {addresses}: {_listed(subject, table, rule)}"
    if dropped.drop.is_sure:
        meaning = "queries are dropped before the agent sees them"
        return broken(RULES, what, meaning if packets[0].is_to else "they get no answers", mend)
    return look(RULES, f"{what} (some of them)", "those whom the rule means get no answers", mend)


def _opened(table: Table, rule: Rule, packet: Packet) -> tuple[str, str]:
    """Whose rule it is ("" if unknown), and the command that lets DNS pass."""
    for start, owner, mend in _OWNERS:
        if table.name.startswith(start) or rule.chain.startswith(start):
            return owner, mend.format(address=packet.address, port=packet.port)
    if table.program == "nft":
        side, end = ("dport", "daddr") if packet.is_to else ("sport", "saddr")
        family = "ip" if packet.address.version == 4 else "ip6"
        match = (
            f"{family} {end} {packet.address} meta l4proto {{ tcp, udp }} th {side} {packet.port}"
        )
        return "", f"nft insert rule {table.family} {table.name} {rule.chain} {match} accept"
    if not rule.text.startswith("-A"):
        option = "-d" if packet.is_to else "-s"
        return (
            "",
            f"{table.program} -t {table.name} -I {rule.chain} {option} {packet.address} -j ACCEPT",
        )
    return "", f"{table.program} -t {table.name} {rule.text.replace('-A', '-D', 1)}"


def _listed(subject: Subject, table: Table, rule: Rule) -> str:
    """The rule as its program prints it."""
    if table.program != "nft" or not rule.handle:
        return rule.text
    chain = ("nft", "-a", "list", "chain", table.family, table.name, rule.chain)
    for line in (subject.run(chain) or "").splitlines():
        if line.endswith(f"# handle {rule.handle}"):
            return line.partition(" # handle")[0].strip()
    return rule.text


# Another node-local cache


def _other_caches(subject: Subject, tables: list[Table]) -> Iterator[Finding]:
    own = subject.flags.local_ips
    others: dict[Address, str] = {}
    left: dict[Address, str] = {}
    for table, rule in _untracking(subject, tables):
        for address in rule.addresses("daddr"):
            if address not in own:
                others.setdefault(address, _way_out(table, rule))
            elif all(condition.key for condition in rule.conditions):  # ours ask for more
                left.setdefault(address, _way_out(table, rule))
    for address, mend in others.items():
        yield look(
            CACHE,
            f"rules of another node-local cache keep what is asked of {address} out of connection tracking",
            f"who asks {address} is answered by that cache, or, where it is gone, by nobody",
            f"-localip has to name {address} too; or, where nobody asks it: {mend}",
        )
    for address, mend in left.items():
        yield look(
            CACHE,
            f"rules that another node-local cache left keep what is asked of {address} untracked for good",
            "when everything of the agent dies they are answered by nobody",
            mend,
        )


def _untracking(subject: Subject, tables: list[Table]) -> Iterator[tuple[Table, Rule]]:
    """Rules that keep queries untracked, but for Cilium's, which do so to its own pods."""
    asked = Packet("udp", subject.flags.local_ips[0], subject.flags.dns_port, is_to=True)
    for table in tables:
        for chain in table.chains.values():
            for rule in chain.rules:
                is_dns = any(each.key == "dport" and each.fits(asked) for each in rule.conditions)
                if rule.does == "notrack" and is_dns and not rule.chain.startswith("CILIUM_"):
                    yield table, rule


def _way_out(table: Table, rule: Rule) -> str:
    if table.program == "nft":
        return f"nft delete rule {table.family} {table.name} {rule.chain} handle {rule.handle}"
    return f"{table.program} -t {table.name} {rule.text.replace('-A', '-D', 1)}, and all like it"


# kube-proxy, and who does its work


def _kube_proxy(subject: Subject, tables: list[Table]) -> Iterator[Finding]:
    """kube-proxy's mode by its traces on the node, and whether -localip fits it."""
    flags = subject.flags
    shared = [str(address) for address in flags.local_ips if not address.is_link_local]
    lines = (subject.read("/proc/net/dev") or "").splitlines()
    links = {line.partition(":")[0].strip() for line in lines}
    if "kube-ipvs0" in links and shared and flags.setup_interface:
        yield broken(
            PROXY,
            f"it is in IPVS mode, and -localip names {' '.join(shared)}, which IPVS holds",
            "kube-proxy and the agent fight for the address",
            "deploy/overlays/ipvs (or the chart's mode: ipvs), and kubelets with --cluster-dns",
        )
    if flags.rules == "none" or _has_kube_proxy(subject, links, tables):
        return
    for link, name in _IN_EBPF.items():
        if link in links:
            yield look(
                PROXY,
                f"{name} is here and kube-proxy is not: Service traffic is sent on its way past these packet rules",
                "what they ask of kube-dns' Service address may go past the cache",
                _IN_EBPF_MENDS[name],
            )


_IN_EBPF_MENDS = {
    "Cilium": "deploy/overlays/cilium (or the chart's mode: cilium), a CiliumLocalRedirectPolicy",
    "Calico's eBPF": "kubelets with --cluster-dns, the agent's own address, as in deploy/overlays/ipvs",
}


def _has_kube_proxy(subject: Subject, links: set[str], tables: list[Table]) -> bool:
    listed = nft_entries(subject.run(_CHAINS), "chain")
    return (
        "kube-ipvs0" in links
        or any(_CANARY in table.chains for table in tables)
        or any(each.get("table") == "kube-proxy" or each.get("name") == _CANARY for each in listed)
    )
