"""What keeper and worker share: the channel between them, sockets, log, signals, limits."""
