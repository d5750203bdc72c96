"""Messages as dig prints them."""

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode


def as_dig(message: dns.message.Message) -> str:
    """The header, the OPT, and the sections that are not empty."""
    flags = dns.flags.to_text(message.flags).lower()
    counts = ("QUERY", message.question), ("ANSWER", message.answer)
    counts += ("AUTHORITY", message.authority), ("ADDITIONAL", message.additional)
    opcode, status = dns.opcode.to_text(message.opcode()), dns.rcode.to_text(message.rcode())
    sums = ", ".join(f"{name}: {sum(map(_records, rrsets))}" for name, rrsets in counts)
    lines = [
        f";; ->>HEADER<<- opcode: {opcode}, status: {status}, id: {message.id}",
        f";; flags: {flags}; {sums}",
    ]
    if message.edns >= 0:
        do = " do" if message.ednsflags & dns.flags.DO else ""
        lines.append(f"; EDNS: version: {message.edns}, flags:{do}; udp: {message.payload}")
        lines += [f"; {_option(option)}" for option in message.options]
    lines.append(";; QUESTION SECTION:")
    lines += [f";{rrset.to_text()}" for rrset in message.question]
    for name, rrsets in counts[1:]:
        if rrsets:
            lines += [f";; {name} SECTION:", *(rrset.to_text() for rrset in rrsets)]
    return "\n".join(lines) + "\n"


def _records(rrset) -> int:
    return len(rrset) or 1  # a question has a name and no records


def _option(option: dns.edns.Option) -> str:
    if isinstance(option, dns.edns.EDEOption):
        return f"EDE: {int(option.code)}" + (f" ({option.text})" if option.text else "")
    return str(option)
