"""What a peer has sent, cut into frames."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Form: TypeAlias = Literal["msgpack", "json"]


class Frame(NamedTuple):
    """One value that a peer has sent, as it came."""

    data: bytes
    form: Form = "msgpack"


class Oversized(NamedTuple):
    """A frame that was larger than it may be: it is gone, and what follows it can be read."""

    tag: str
    """What it began with; empty where that is no tag."""
    size: int
