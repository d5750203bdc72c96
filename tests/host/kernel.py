"""Fakes that stand for the kernel's side."""

import errno
from collections.abc import Callable

from nodecache.host.commands import Command, Job, Result
from nodecache.host.netlink import Link, LinkAddress


def carry_out(job: Job, answer: Callable[[Command], Result]) -> list[Command]:
    """Run a job to its end against `answer`; the commands it gave."""
    commands: list[Command] = []
    result = None
    while True:
        try:
            command = job.send(result)
        except StopIteration:
            return commands
        commands.append(command)
        result = answer(command)


class FakeNetlink:
    """Links and addresses in memory, with the kernel's own errors."""

    port_id = 1

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self.held: list[LinkAddress] = []
        self.refusal = 0
        self.calls: list[str] = []

    def _say(self, call: str) -> None:
        if self.refusal:
            raise OSError(self.refusal, "refused")
        self.calls.append(call)

    def close(self) -> None:
        """Nothing is open."""

    def link(self, name):
        if self.refusal:
            raise OSError(self.refusal, "refused")
        return self.links.get(name)

    def add_link(self, name, kind, alias):
        self._say("add_link")
        self.links[name] = Link(len(self.links) + 2, name, kind, True, alias)

    def set_link(self, index, alias):
        self._say("set_link")
        for name, link in self.links.items():
            if link.index == index:
                self.links[name] = Link(index, name, link.kind, True, alias)

    def delete_link(self, index):
        self._say("delete_link")
        self.links = {name: link for name, link in self.links.items() if link.index != index}
        self.held = [held for held in self.held if held.index != index]

    def addresses(self, *, index=0, among=()):
        return [h for h in self.held if (index and h.index == index) or h.address in among]

    def put_address(self, index, address, seconds):
        self._say(f"put {address} {seconds}")
        if index not in {link.index for link in self.links.values()}:
            raise OSError(errno.ENODEV, "no such device")
        self.held = [h for h in self.held if (h.index, h.address) != (index, address)]
        self.held.append(LinkAddress(address, address.max_prefixlen, index, seconds or None))

    def delete_address(self, index, address, prefix_size):
        self._say(f"delete {address}")
        self.held = [h for h in self.held if (h.index, h.address) != (index, address)]
