"""Files of dead letters, as stores of `logpipe buffer`."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from logpipe.cli.buffer.claiming import REPLAYING, ClaimedFile
from logpipe.cli.buffer.store import Finding, Item, Row, Store
from logpipe.durable import Disk
from logpipe.engine.dead_letters.files import SUFFIX
from logpipe.engine.dead_letters.letters import Letter, decode
from logpipe.event import EventBatch
from logpipe.files import Files

CLAIMED: Final = f"{SUFFIX}{REPLAYING}"


def letter_stores(folder: Path) -> list[LetterStore]:
    """Return the store of a folder that holds dead letters; none where it does not."""
    store = LetterStore(folder)
    return [store] if store.items() else []


class LetterStore(Store):
    """The dead letters of one plugin, or one file of them."""

    def __init__(self, folder: Path, only: Path | None = None, config: str = "") -> None:
        self.folder = folder
        self._only = only
        self._config = config

    def written_by(self, config: str) -> LetterStore:
        """Return those of the configuration with this path, and those that name no configuration."""
        return LetterStore(self.folder, self._only, config)

    @property
    def notes(self) -> list[str]:
        """How to deliver them."""
        return ["dead letters: `logpipe buffer replay` delivers them"]

    def items(self) -> list[Item]:
        """Return the files, oldest first."""
        paths = [path for path in self.folder.iterdir() if path.name.endswith((SUFFIX, CLAIMED)) and path.is_file()]
        if self._only is not None:
            paths = [path for path in paths if path.name == self._only.name]
        found: list[tuple[int, Item]] = []
        for path in paths:
            with suppress(FileNotFoundError):
                file = _LetterFile(path)
                if not self._config or file.config in {"", self._config}:
                    found.append((path.stat().st_mtime_ns, file))
        return [item for _, item in sorted(found, key=lambda each: each[0])]


class _LetterFile(ClaimedFile):
    def __init__(self, path: Path) -> None:
        super().__init__(path, path.name.removesuffix(REPLAYING).removesuffix(SUFFIX))

    @property
    def config(self) -> str:
        """The path of the configuration that wrote it, "" if unknown; a file holds the letters of one process."""
        return next((letter.culprit.config for letter in self.letters()), "")

    def row(self) -> Row:
        count, first, problem = 0, None, ""
        for number, line in self._lines():
            count += 1
            if first is None:
                try:
                    first = decode(line)
                except ValueError:
                    problem = f"line {number} is damaged"
        status = self.path.stat()
        if first is None:
            return Row(self.item_id, self.state, "", {}, count, status.st_size, status.st_mtime_ns, problem)
        key = {} if first.key is None else {"timekey": first.key.timekey, **dict(first.key.variables)}
        note = f"{first.culprit.plugin_id}: {first.error_class}: {first.reason}"
        shared = {name: value for name, value in key.items() if value is not None}
        return Row(self.item_id, self.state, first.tag or "", shared, count, status.st_size, first.at, problem, note)

    def read(self) -> Iterator[EventBatch | bytes]:
        for letter in self.letters():
            if letter.payload is not None:
                yield letter.payload
            else:
                yield EventBatch(letter.tag or "", [letter.time], [letter.record or {}])

    def letters(self) -> Iterator[Letter]:
        for _, line in self._lines():
            with suppress(ValueError):
                yield decode(line)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with self.path.open("rb") as file:
            yield from enumerate(file, start=1)

    def verify(self) -> Finding:
        count = 0
        damages: list[str] = []
        for number, line in self._lines():
            try:
                decode(line)
            except ValueError as problem:
                damages.append(f"line {number} is no dead letter: {problem}")
            else:
                count += 1
        return Finding(count, damages)

    def repair(self) -> str:
        self.claim()
        disk = Disk(Files(stat.S_IMODE(self.path.stat().st_mode)), "letters")
        bad = self.path.with_name(f"{self.item_id}.damaged")
        found = Counter(_is_letter(line) for _, line in self._lines())
        if found[False]:
            disk.append_shared(bad, self._whole(intact=False))
        disk.replace(self.path, self._whole(intact=True))
        self.give_back()
        return f"{found[True]} records kept, {found[False]} lines moved to {bad}"

    def _whole(self, *, intact: bool) -> Iterator[bytes]:
        for _, line in self._lines():
            if _is_letter(line) is intact:
                yield line if line.endswith(b"\n") else line + b"\n"


def _is_letter(line: bytes) -> bool:
    try:
        decode(line)
    except ValueError:
        return False
    return True
