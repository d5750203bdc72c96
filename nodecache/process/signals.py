"""Signals as octets in a socket pair, for a process whose only wait is a selector."""

import signal
import socket


class SignalPipe:
    """The signals `numbers`, to be waited for; nothing runs inside a handler."""

    def __init__(self, numbers: tuple[signal.Signals, ...]) -> None:
        self._numbers = numbers
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        for number in numbers:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)  # what came early comes now

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._reader.fileno()

    def received(self) -> list[int]:
        """The signals that came, in order."""
        try:
            return list(self._reader.recv(4096))
        except BlockingIOError:
            return []

    def close_in_child(self) -> None:
        """In a forked child: signals mean there what the child makes of them."""
        signal.set_wakeup_fd(-1)
        for number in self._numbers:
            is_of_children = number == signal.SIGCHLD  # ignored, it would take their status away
            signal.signal(number, signal.SIG_DFL if is_of_children else signal.SIG_IGN)
        self._reader.close()
        self._writer.close()
