"""The parent process: listening sockets, the configuration in force, the worker's life, the handover to a next agent."""
