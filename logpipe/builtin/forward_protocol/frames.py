"""Takes bytes of a connection in, and gives frames out."""

from __future__ import annotations

from collections.abc import Iterator

from logpipe.builtin.forward_protocol.frame import Frame, Oversized
from logpipe.builtin.forward_protocol.json_frames import JsonCutter
from logpipe.builtin.forward_protocol.limits import FrameLimits
from logpipe.builtin.forward_protocol.packed_frames import PackedCutter


class FrameReader:
    """Takes bytes in, and gives frames out. It holds one frame that is not complete, and nothing else.

    Args:
        limits: what it takes.
        json: whether the first byte may say that all is JSON, as fluentd has it.
    """

    def __init__(self, limits: FrameLimits | None = None, *, json: bool = True) -> None:
        self._limits = limits or FrameLimits()
        self._may_be_json = json
        self._cutter: PackedCutter | JsonCutter | None = None

    @property
    def held(self) -> int:
        """Bytes of a frame of which the rest is still to come."""
        return len(self._cutter.held) if self._cutter is not None else 0

    @property
    def announced(self) -> int:
        """Bytes that this frame will have, as far as it says so; those that are held, where it does not."""
        return self._cutter.announced if self._cutter is not None else 0

    def rest(self) -> bytes:
        """Return what is held, and hold it no more: for another reader, after the last frame that this one is for."""
        return self._cutter.rest() if self._cutter is not None else b""

    def unread(self) -> bytes | None:
        """Return what is held, for a reader that begins with it; None where there can be none."""
        return self._cutter.unread() if self._cutter is not None else b""

    def feed(self, data: bytes) -> Iterator[Frame | Oversized]:
        """Take bytes, and yield each frame that they complete; all are to be taken before more is fed.

        Raises:
            ProtocolError: they are none, and nothing after them can be read.
        """
        if not data:
            return
        if self._cutter is None:
            is_json = self._may_be_json and data[:1] in {b"{", b"["}
            self._cutter = JsonCutter(self._limits) if is_json else PackedCutter(self._limits)
        self._cutter.held += data
        while (frame := self._cutter.next()) is not None:
            yield frame
