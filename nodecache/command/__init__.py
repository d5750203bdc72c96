"""What a person types: the agent's start, and the commands beside it."""
