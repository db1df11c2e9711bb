"""The positions up to which logpipe has read, from the article's pos_file."""

from __future__ import annotations

from pathlib import Path


def lines_behind(pos_file: Path, logs: Path) -> int:
    """Return the number of lines in the folder's logs after the positions in the file.

    A log that is not noted counts whole.
    """
    positions = _positions(pos_file)
    behind = 0
    for log in logs.glob("*.log"):
        with log.open("rb") as file:
            file.seek(positions.get(str(log), 0))
            behind += file.read().count(b"\n")
    return behind


def _positions(pos_file: Path) -> dict[str, int]:
    """Read lines of path, position and inode, the numbers hexadecimal; the last line of a path counts."""
    if not pos_file.exists():
        return {}
    rows = [line.split("\t") for line in pos_file.read_text().splitlines()]
    return {path: int(position, 16) for path, position, _ in rows}
