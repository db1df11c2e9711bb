"""What a peer has sent, cut into frames."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from logpipe.builtin.forward_protocol.heads import array_at, string_at
from logpipe.codec import readable

_OPTIONS: Final = 1024
Form: TypeAlias = Literal["msgpack", "json"]


class Frame(NamedTuple):
    """One value that a peer has sent, as it came."""

    data: bytes
    form: Form = "msgpack"

    @property
    def tag(self) -> str:
        """What it begins with; empty where that is no tag, or in JSON. For messages, and the frame may be none."""
        found = array_at(self.data, 0) if self.form == "msgpack" else None
        tag = string_at(self.data, found[1]) if found is not None and found[0] else None
        return str(readable(self.data[slice(*tag)])) if tag is not None else ""

    @property
    def may_be_compressed(self) -> bool:
        """Whether it says so in its last bytes, where options are; a text there may look the same."""
        return b"compressed" in self.data[-_OPTIONS:]


class Oversized(NamedTuple):
    """A frame that was larger than it may be: it is gone, and what follows it can be read."""

    tag: str
    """What it began with; empty where that is no tag."""
    size: int
