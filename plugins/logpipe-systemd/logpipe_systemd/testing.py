"""For tests: journals, written by systemd's own program."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

WRITER: Final = Path("/lib/systemd/systemd-journal-remote")
START: Final = 1_700_000_000


class Journals:
    """A folder of journal files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries = 0
        folder.mkdir()

    def write(self, *entries: Mapping[str, str | bytes | list[str]], file: str = "a.journal") -> Path:
        """Add entries to a file, each a second after the one before."""
        path = self.folder / file
        text = b"\n".join(map(self._exported, entries)) + b"\n"
        subprocess.run([WRITER, "-o", path, "-"], input=text, check=True, capture_output=True)  # noqa: S603 - of this file
        return path

    def count(self, numbers: Iterable[int], file: str = "a.journal") -> Path:
        """Add entries with these numbers."""
        return self.write(*({"MESSAGE": f"number {n}", "N": str(n)} for n in numbers), file=file)

    def _exported(self, entry: Mapping[str, str | bytes | list[str]]) -> bytes:
        self.entries += 1
        lines = [b"__REALTIME_TIMESTAMP=%d\n" % ((START + self.entries) * 1_000_000)]
        for name, given in entry.items():
            for value in given if isinstance(given, list) else [given]:
                data = value if isinstance(value, bytes) else value.encode()
                lines.append(b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data))
        return b"".join(lines)
