"""What keeper and worker may say to each other.

keeper                            worker
reload, configuration and sockets →  reloaded, or refused with the reason
vitals                            →
pause                             →  paused, then (where there is a successor) cache
cache, of the previous agent     →
resume, stop                      →
                                  ←  ready, once
                                  ←  alive, twice a second
                                  ←  pods, of kube-dns, once a minute
"""

from .messages import Form, MessageForms, addresses, flag, text, texts, whole
from .pods import read_pods
from .vitals import check_vitals

MAX_REASON_OCTETS = 1_000
MAX_CACHE_OCTETS = 1 << 30  # of the file that a cache travels in
JOURNAL_OCTETS = 2 << 20  # shared memory: 4,096 slots of 512 octets, for queries that wait
_MAX_ADDRESSES = 1_000
PAGES = texts(_MAX_ADDRESSES, 300)  # HOST:PORT; a host has up to 253 octets

FROM_WORKER = MessageForms(
    of={
        "ready": Form(),
        "alive": Form(),
        "reloaded": Form(),
        "refused": Form({"why": text(MAX_REASON_OCTETS)}),
        "paused": Form(),
        "cache": Form(descriptors=range(1, 2)),
        "pods": Form({"pods": read_pods}),
    },
    max_octets=16_384,  # a reason of 1,000 characters, each of up to 12 octets in JSON
)
FROM_KEEPER = MessageForms(
    of={
        # The configuration, and two sockets for each address; SCM_MAX_FD is 253.
        "reload": Form(descriptors=range(1, 254, 2)),
        "vitals": Form({"vitals": check_vitals, "reload_failures": whole}),
        "pause": Form(
            {"dropped": addresses(_MAX_ADDRESSES), "pages": PAGES, "has_successor": flag}
        ),
        "cache": Form(descriptors=range(1, 2)),
        "resume": Form(),
        "stop": Form(),
    },
    max_octets=65_536,
)
