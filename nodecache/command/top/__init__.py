"""`nodecache top`: what the agent does now, live in a terminal or once as JSON.

The law of this package: the agent tells lines of JSON at its control socket. `view` is what a person
has asked to see of them, `screen` draws it and is the one place that knows the terminal library.
"""
