"""`nodecache explain`: what would happen to a query here, and why.

The law of this package: the agent that runs is asked for all of it, at its control socket; here it
is only put into words.
"""
