"""The one failure that bytes from strangers may cause."""

from .constants import Rcode


class MalformedMessage(Exception):  # noqa: N818 - named after the fault, as all of ours
    """A message that breaks a rule of the protocol; its text names the rule.

    `rcode` is the answer the sender deserves, or None where silence is right.
    """

    def __init__(self, rule: str, rcode: Rcode | None = Rcode.FORMERR) -> None:
        super().__init__(rule)
        self.rcode = rcode
