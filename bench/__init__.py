"""Load against nodecache and against every other DNS cache found on the machine.

The law of this package: figures of one table come from one run on one machine, the servers taking
turns; CPU is that of a server's whole process tree; all traffic stays on 127.0.0.1 and is bounded
in count and in time. `python -m bench --help` lists what can be measured; README.md says how to
read it.
"""
