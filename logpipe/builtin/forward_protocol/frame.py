"""What a peer has sent, cut into frames."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

_OPTIONS: Final = 1024
Form: TypeAlias = Literal["msgpack", "json"]


class Frame(NamedTuple):
    """One value that a peer has sent, as it came."""

    data: bytes
    form: Form = "msgpack"

    @property
    def may_be_compressed(self) -> bool:
        """Whether it says so in its last bytes, where options are; a text there may look the same."""
        return b"compressed" in self.data[-_OPTIONS:]


class Oversized(NamedTuple):
    """A frame that was larger than it may be: it is gone, and what follows it can be read."""

    tag: str
    """What it began with; empty where that is no tag."""
    size: int
