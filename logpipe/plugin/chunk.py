"""What an output is given to deliver: events that share a key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from logpipe.event import EventBatch


class ChunkKey(NamedTuple):
    """What the events of a chunk have in common."""

    timekey: int | None = None
    """The start of the time slice, seconds since the epoch; None unless `time` is a chunk key."""
    tag: str | None = None
    """The tag; None unless `tag` is a chunk key."""
    variables: tuple[tuple[str, Any], ...] = ()
    """The other chunk keys with their values, in the order of `<buffer ARG>`; a missing field is None.

    Values hold their type: the keys of true, 1 and 1.0 are three.
    """
    came_through_error: bool = False
    """Whether the events have been in `<label @ERROR>`: those that fail again are dead letters."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple) and len(other) == len(self) and self._typed == ChunkKey(*other)._typed

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._typed)

    @property
    def _typed(self) -> tuple[Any, ...]:
        variables = ((name, identity(value)) for name, value in self.variables)
        return (self.timekey, self.tag, self.came_through_error, *variables)


def identity(value: Any) -> Any:
    """Return what is equal for equal values of one type only, and can be hashed: Python takes true for 1 and 0.0 for 0.

    Raises:
        RecursionError, ValueError: it is nested too deeply, or holds a number of too many digits.
    """
    return value if type(value) is str else (type(value), repr(value))


class Chunk(Protocol):
    """Events on their way to one `Output.write`."""

    id: str
    """32 hexadecimal digits, the same at each attempt."""
    key: ChunkKey
    size: int
    """Bytes of payload; an estimate where the chunk holds records."""
    progress: Any
    """None at first; whatever the output wants to remember from one attempt to the next.

    A number of events, a set of their numbers, or a sequence with something true for each event: those need no other
    attempt. Such a `progress` is kept when the chunk is divided, and what it says is delivered makes no dead letters.
    """

    def __len__(self) -> int:
        """Return the number of events."""

    def batches(self) -> Iterator[EventBatch]:
        """Yield the events, oldest first; the output owns nothing of them and changes nothing in them.

        A batch's receipt is for handing to `host.emit_error`, with an event that can never be delivered.
        """

    def payloads(self) -> Iterator[bytes]:
        """Yield what `Output.encode` made, in order."""
