"""The parent process: sockets, the configuration in force, the worker's life, and handing a node over."""
