"""The one exception that octets from strangers may raise."""

from .constants import Rcode


class MalformedMessage(Exception):
    """A message that breaks a rule of the protocol; its text names the rule.

    `rcode` is the answer the sender deserves, or None where silence is right; `has_do` is whether
    that answer is to have DO, being for somebody whose OPT had it.
    """

    def __init__(
        self, rule: str, rcode: Rcode | None = Rcode.FORMERR, *, has_do: bool = False
    ) -> None:
        super().__init__(rule)
        self.rcode = rcode
        self.has_do = has_do
