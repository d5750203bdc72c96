"""The agent in front of a stand-in for kube-dns, on loopback, without root: `python -m nodecache.demo`.

The law of this package: it shows the agent, and is no part of it. Nothing of nodecache imports it,
and it may be as slow as dnspython is.
"""
