"""One listen address: its sockets, the handler behind them, and what clients by TCP may hold there."""

import asyncio
from dataclasses import replace

from nodecache.config.source import Config
from nodecache.process.descriptors import room_for_clients
from nodecache.process.listen import ListenAddress
from nodecache.process.sockets import Sockets
from nodecache.server import (
    Handler,
    Journal,
    ReplyBudget,
    TcpLimits,
    TcpListener,
    UdpListener,
    WildcardUdpListener,
)


class Listener:
    """Both sockets of one listen address, and the handler behind them."""

    def __init__(
        self,
        address: ListenAddress,
        sockets: Sockets,
        handler: Handler,
        journal: Journal,
        reply_budget: ReplyBudget,
    ) -> None:
        self.sockets = sockets
        self.handler = handler
        kind = WildcardUdpListener if address.is_wildcard else UdpListener
        self.udp = kind(sockets.udp, handler, reply_budget, journal)
        self.tcp = TcpListener(sockets.tcp, handler)

    def stop(self) -> None:
        """Read and accept no more."""
        self.udp.stop()
        self.tcp.stop()

    async def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read and accept."""
        self.udp.start(loop)
        await self.tcp.start(loop)

    def close(self) -> None:
        """Close connections once their queries are answered, and close our copies of the sockets."""
        self.stop()
        self.tcp.close()
        self.udp.close()
        self.sockets.close()


def tcp_limits(config: Config, address: ListenAddress) -> TcpLimits:
    """Limits of TCP clients at an address, from the first block there with `timeouts`.

    Connections and unread octets are shared among all addresses.
    """
    default = TcpLimits()
    addresses = {served.address for served in config.served_zones}
    limits = replace(
        default,
        connections=min(default.connections, room_for_clients(len(addresses))),
        held_octets=default.held_octets // max(len(addresses), 1),
    )
    for served in config.served_zones:
        asked = config.corefile.blocks[served.block].timeouts
        if served.address == address and asked is not None:
            return replace(
                limits,
                read_seconds=asked.read_seconds or default.read_seconds,
                write_seconds=asked.write_seconds or default.write_seconds,
                idle_seconds=asked.idle_seconds or default.idle_seconds,
                queries_in_all=max(asked.max_tcp_queries or 0, 0),
            )
    return limits
