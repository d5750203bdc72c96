"""The command line: the agent's start, and the commands for people."""
