"""Where mistakes are planted, and which tests may notice them: the one place that says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

MODULES: Final = {
    "logpipe": ["durable", "tag_pattern"],
    "logpipe/engine": [
        *("router", "chain", "gate", "draining", "accounting", "ledger"),
        *("outlet", "attempts", "sending", "outcome"),
        *("chunk_queue", "retry", "poison", "placeholders"),
        *("queue", "letters"),
    ],
    "logpipe/builtin": ["position_file"],
    "logpipe/builtin/in_tail": [
        *("registry", "table", "checkpoints"),
        *("decide", "cuts", "generation", "folders"),
    ],
}
"""The modules by the folder that each is in or below: one that moves to a room of that folder is found there."""

NOT_CHOSEN: Final = [
    "tests/benchmarks",
    "tests/config/test_fuzz.py",
    "tests/fuzz",
    "tests/mutants",
    "tests/test_dockerfile.py",
    "tests/test_imports.py",
    "tests/test_lock.py",
    "tests/test_suite.py",
    "tests/time_format",
]
"""Tests that are never chosen: they run nothing of these modules, or something else each time."""


def targets(root: Path) -> list[Path]:
    """Return the files of the modules, relative to the project's root.

    Raises:
        LookupError: a module is not where it was said to be, or there are two of its name.
    """
    return sorted(_file(root, folder, name) for folder, names in MODULES.items() for name in names)


def _file(root: Path, folder: str, name: str) -> Path:
    closer = [other for other in MODULES if other.startswith(f"{folder}/")]
    found = [file.relative_to(root) for file in _candidates(root / folder, name)]
    found = [file for file in found if not any(file.is_relative_to(other) for other in closer)]
    if len(found) != 1:
        raise LookupError(f"{len(found)} files {name}.py in or below {folder}: mend MODULES in {__file__}")
    return found[0]


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    return folder.rglob(f"{name}.py")
