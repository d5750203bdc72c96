"""The host: interface, addresses and their lease, packet rules, probes of the worker.

The law of this package: nothing here waits (see host.py), nothing here reads DNS beyond a probe's
header, and nothing of ours outside this package is imported. pyroute2 is imported late, and only
in netlink.py.
"""

from .guard import Guard, Verdict
from .host import Host
from .options import HostError, HostOptions
from .pods import Endpoint
from .rules import FailOpen, Rule, all_rules, rules_for
