"""The configuration in force with its sockets, and the next one while it is offered to the worker.

A new configuration is offered to the worker together with every socket it needs. The worker takes
it or not; only then are the sockets closed that nobody needs any more.
"""

import contextlib
import os
import pickle
from collections.abc import Iterable, Iterator, Mapping

from nodecache.config.plan import listen_addresses
from nodecache.config.source import Config
from nodecache.process.listen import ListenAddress
from nodecache.process.memory_file import to_descriptor
from nodecache.process.sockets import CannotListen, Sockets, close_all, open_all

from .handover_messages import MAX_ADDRESSES


class ActiveConfig:
    """The configuration in force. `sockets` belong to the keeper and are lent to every worker."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.sockets: dict[ListenAddress, Sockets] = {}
        self._offered: tuple[Config, dict[ListenAddress, Sockets]] | None = None

    def open(self, lent: Mapping[ListenAddress, Sockets]) -> None:
        """Use lent sockets, and open the others. CannotListen where one cannot be bound."""
        self.sockets = open_all(listen_addresses(self.config.served_zones), lent)

    @property
    def lent(self) -> list[int]:
        """The sockets as they are sent to a process: two descriptors for each address."""
        return [descriptor for pair in self.sockets.values() for descriptor in pair.descriptors]

    @property
    def is_whole(self) -> bool:
        """Whether every address that the configuration asks for has its sockets."""
        return all(each in self.sockets for each in listen_addresses(self.config.served_zones))

    @property
    def is_offering(self) -> bool:
        """Whether a configuration is offered that the worker has not answered yet."""
        return self._offered is not None

    @contextlib.contextmanager
    def offer(self, config: Config) -> Iterator[list[int]]:
        """The descriptors that a worker needs for `config`, to be sent within. Raises CannotListen."""
        addresses = listen_addresses(config.served_zones)
        if len(addresses) > MAX_ADDRESSES:
            raise CannotListen(
                f"a reload cannot have {len(addresses)} addresses, only {MAX_ADDRESSES}: restart the agent"
            )
        sockets = open_all(addresses, self.sockets)
        self.give_up()
        self._offered = (config, sockets)
        descriptor = to_descriptor(pickle.dumps((config, list(sockets))))
        try:
            yield [descriptor, *(fd for pair in sockets.values() for fd in pair.descriptors)]
        finally:
            os.close(descriptor)

    def taken(self) -> bool:
        """The worker accepted the offer; False if there was none."""
        if self._offered is None:
            return False
        (config, sockets), self._offered = self._offered, None
        self._change_to(config, sockets)
        return True

    def give_up(self) -> None:
        """Withdraw the offer: close the sockets opened for it."""
        if self._offered is not None:
            pairs = self._offered[1].items()
            close_all(pair for address, pair in pairs if address not in self.sockets)
            self._offered = None

    def adopt(self, config: Config) -> None:
        """Put `config` in force without a worker: the next one starts with it. CannotListen."""
        self._change_to(config, open_all(listen_addresses(config.served_zones), self.sockets))

    def _change_to(self, config: Config, sockets: dict[ListenAddress, Sockets]) -> None:
        close_all(pair for address, pair in self.sockets.items() if address not in sockets)
        self.config, self.sockets = config, sockets

    def drop(self, addresses: Iterable[ListenAddress]) -> None:
        """Close the sockets of `addresses`, whatever the configuration asks for."""
        close_all(self.sockets.pop(address) for address in addresses)

    def close(self) -> None:
        """Close every socket of ours."""
        self.give_up()
        close_all(self.sockets.values())
