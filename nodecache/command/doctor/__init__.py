"""`nodecache doctor`: looks at an agent and its node, and says what is wrong and what mends it.

It changes nothing. Each check reads a `Subject` and yields findings; what a check cannot read, it passes
over, so that the same command works in the agent's container and on a laptop with nothing but files.
"""
