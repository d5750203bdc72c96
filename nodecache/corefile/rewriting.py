"""The rules of the `rewrite` directive, as frozen data."""

from dataclasses import dataclass
from typing import Literal

Match = Literal["exact", "prefix", "suffix", "substring", "regex"]
EdnsAction = Literal["set", "replace", "append", "unset"]


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """Rewrites owner names (`name`) or the names in records' data (`value`) of an answer."""

    target: Literal["name", "value"]
    pattern: str
    to: str


@dataclass(frozen=True, slots=True)
class NameRule:
    """Rewrites the qname. `is_auto`: the names in the answer are reverted."""

    match: Match
    from_name: str
    to_name: str
    is_auto: bool = False
    answers: tuple[AnswerRule, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassRule:
    """Rewrites the question's class."""

    from_class: int
    to_class: int


@dataclass(frozen=True, slots=True)
class TypeRule:
    """Rewrites the question's type."""

    from_type: int
    to_type: int


@dataclass(frozen=True, slots=True)
class TtlRule:
    """Raises or lowers the TTLs of an answer into a range of seconds."""

    match: Match
    name: str
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class RcodeRule:
    """Replaces one rcode of an answer by another."""

    match: Match
    name: str
    from_rcode: int
    to_rcode: int


@dataclass(frozen=True, slots=True)
class CnameRule:
    """Replaces the target of a CNAME in an answer, and resolves the new one."""

    match: Match
    from_name: str
    to_name: str


@dataclass(frozen=True, slots=True)
class EdnsLocalRule:
    """Sets an EDNS option to `data`, or to what `variable` (`{qname}` …) stands for."""

    action: EdnsAction
    code: int
    data: bytes = b""
    variable: str = ""
    reverts: bool = False


@dataclass(frozen=True, slots=True)
class EdnsNsidRule:
    """Asks for the name server's identity (RFC 5001)."""

    action: EdnsAction
    reverts: bool = False


@dataclass(frozen=True, slots=True)
class EdnsSubnetRule:
    """Tells the client's network (RFC 7871), cut to so many bits."""

    action: EdnsAction
    ipv4_bits: int = 0
    ipv6_bits: int = 0
    reverts: bool = False


EdnsRule = EdnsLocalRule | EdnsNsidRule | EdnsSubnetRule
RewriteRule = NameRule | ClassRule | TypeRule | TtlRule | RcodeRule | CnameRule | EdnsRule


@dataclass(frozen=True, slots=True)
class RewriteOptions:
    """One `rewrite`. After a rule that applied, `continues` says whether the next is looked at."""

    rule: RewriteRule
    continues: bool = False
