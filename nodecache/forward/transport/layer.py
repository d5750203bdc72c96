"""A stream on top of another one: the base of the TLS and HTTP streams."""

from typing import Generic, TypeVar

from nodecache.forward.runtime import NULL_RECEIVER, Stream, StreamReceiver

S = TypeVar("S", bound=Stream)


class Layer(Generic[S]):
    """A stream between a receiver and the stream below, which `carry` sets once."""

    __slots__ = ("_receiver", "_stream")

    def __init__(self, receiver: StreamReceiver) -> None:
        self._receiver: StreamReceiver = receiver
        self._stream: S | None = None

    def carry(self, stream: S) -> None:
        """Use `stream`, which is still opening, as the stream below."""
        self._stream = stream

    def closed(self, error: Exception | None, now: float) -> None:
        """The stream below ended."""
        if self._stream is not None:
            self._stream = None
            receiver, self._receiver = self._receiver, NULL_RECEIVER
            receiver.closed(error, now)

    def _end(self, error: Exception | None, now: float) -> None:
        """Close it from our side, and call the receiver."""
        if self._stream is not None:
            self._stream.close()
            self.closed(error, now)

    @property
    def local(self) -> str:
        """Our end as `address:port`."""
        return "" if self._stream is None else self._stream.local

    def is_acknowledged(self) -> bool:
        """Whether the other side's kernel has lately confirmed what we sent."""
        return self._stream is not None and self._stream.is_acknowledged()

    def poll(self) -> None:
        """Read what there is."""
        if self._stream is not None:
            self._stream.poll()

    def close(self) -> None:
        """Close at once; no callback comes any more."""
        stream, self._stream = self._stream, None
        self._receiver = NULL_RECEIVER
        if stream is not None:
            stream.close()
