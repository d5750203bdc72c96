"""Clients' queries, from the socket to the reply.

The law of this package: a hit never awaits and starts no task. Only the socket callbacks here
read the clock; what they call is told `now` (monotonic seconds). Counting is plain integers.
"""

from .asker import Asker, ClientAsker
from .chain import Chain
from .counts import Outcome, ServerCounts
from .errors import ErrorLog
from .handler import Handler
from .router import Zones, name_to_wire
from .journal import Journal, shared_memory
from .replies import Served
from .source import ChainSource, ForwardSource, Source
from .tcp import TcpLimits, TcpListener
from .udp import UdpListener, WildcardUdpListener
from .waiting import WaitingRoom
from .zone import StalePolicy, Zone, ZoneOptions

__all__ = [
    "Asker",
    "Chain",
    "ChainSource",
    "ClientAsker",
    "ErrorLog",
    "ForwardSource",
    "Handler",
    "Journal",
    "Outcome",
    "Served",
    "ServerCounts",
    "Source",
    "StalePolicy",
    "TcpLimits",
    "TcpListener",
    "UdpListener",
    "WaitingRoom",
    "WildcardUdpListener",
    "Zone",
    "ZoneOptions",
    "Zones",
    "name_to_wire",
    "shared_memory",
]
