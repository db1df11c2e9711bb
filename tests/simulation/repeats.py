"""How often each line may arrive.

Once, and once more for each answer that was lost. When the program has ended without the time or the place to write
everything down, a line may arrive from then on as often as it lies in chunks of that output, delivered or not, and once
more if the position of its file is not past it. So much is promised, see docs/reliability.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from tests.simulation.outputs import Peer
from tests.simulation.writer import Line

LETTERS: Final = ""
"""Stands for the dead letters, among the names of peers."""


class Repeats:
    """What the ends of the program in one schedule allow.

    Args:
        folder: in which the engine keeps files; a buffer in files is in a folder of it with its peer's name.
        peers: by name.
        letters: returns how often each line is a dead letter.
        sent: how often lines were sent that are in no file; they may arrive as often, whatever happens.
    """

    def __init__(
        self, folder: Path, peers: Mapping[str, Peer], letters: Callable[[], Counter[str]], sent: Counter[str]
    ) -> None:
        self.ends = 0
        """How often the program ended so."""
        self._folder = folder
        self._peers = peers
        self._letters = letters
        self._sent = sent
        self._sent_then: Counter[str] = Counter()
        self._allowed: dict[tuple[str, str], int] = {}
        """Of a peer's name and a line: how often it may have arrived at last, but for answers that are lost later."""
        self._calls: dict[str, int] = {}
        """How many calls each peer had got by then."""

    def note_end(self, lines: Iterable[Line], rows: Mapping[int, int]) -> None:
        """Note that the program has ended where a line may come again, with these offsets in its position file.

        Lines that were sealed do not come again: there was the time to write down that they have arrived.
        """
        self.ends += 1
        stored = {name: self._stored(name) for name in self._peers}
        arrived = {name: Counter(each.text for each in peer.taken) for name, peer in self._peers.items()}
        arrived[LETTERS], stored[LETTERS] = self._letters(), b"".join(stored.values())
        for line in lines:
            if line.sealed:
                continue
            is_read_again = line.text not in self._sent and (line.was_cut or rows.get(line.file.inode, 0) < line.end)
            text = line.text.encode()
            for name, counts in arrived.items():
                self._allowed[name, line.text] = counts[line.text] + stored[name].count(text) + is_read_again
        self._calls = {name: len(peer.calls) for name, peer in self._peers.items()}
        self._sent_then = self._sent.copy()

    def allowed(self, name: str, text: str) -> int:
        """Return how often a peer may have got a line by now, or how often it may be a dead letter."""
        calls = self._peers[name].calls[self._calls.get(name, 0) :] if name != LETTERS else ()
        unsure = sum(called.count(text) for _, mood, called in calls if mood in {"lost", "part"})
        if text in self._sent:
            return self._allowed.get((name, text), 0) + self._sent[text] - self._sent_then[text] + unsure
        return max(1, self._allowed.get((name, text), 1)) + unsure

    def _stored(self, name: str) -> bytes:
        """Return all that is in a peer's buffer in files."""
        return b"\n".join(path.read_bytes() for path in (self._folder / name).rglob("*") if path.is_file())
