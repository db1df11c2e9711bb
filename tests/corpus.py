"""Compares the trees of public configurations with those that fluentd made of them: `python -m tests.corpus`.

The files are other people's and lie beside the project, in ../shared/corpus, or where LOGPIPE_CORPUS says.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logpipe.config.diagnostic import Diagnostic
from logpipe.config.element import Element
from logpipe.config.parser import Dialect, parse_file
from tests.conformance.kind_config import tree_of

CORPUS = Path(os.environ.get("LOGPIPE_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one file compares: `kind` is equal, refused or differs."""

    file: str
    dialect: Dialect
    kind: str
    detail: str = ""


def outcomes(corpus: Path = CORPUS) -> Iterator[Outcome]:
    """Yield how each file of the corpus compares, in both dialects where fluentd was asked for both."""
    with (corpus / "expected.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield _outcome(corpus, row["file"], "v1", row["v1"], row.get("tree"))
            if row["v0"] == "n/a":
                continue
            # of dialect v0 the tree was recorded only where v1 refuses the file
            yield _outcome(corpus, row["file"], "v0", row["v0"], row.get("tree0"))


def _outcome(corpus: Path, file: str, dialect: Dialect, verdict: str, expected: dict[str, Any] | None) -> Outcome:
    root, errors = read(corpus / file, dialect)
    if verdict != "ok":
        placed = [problem for problem in errors if problem.position.line]
        return Outcome(file, dialect, "refused") if placed else Outcome(file, dialect, "differs", f"fluentd: {verdict}")
    if errors:
        return Outcome(file, dialect, "differs", str(errors[0]))
    if expected is None or tree_of(root) == expected:
        return Outcome(file, dialect, "equal")
    return Outcome(file, dialect, "differs", _difference(tree_of(root), expected))


def read(path: Path, dialect: Dialect = "v1") -> tuple[Element, list[Diagnostic]]:
    """Return a file's tree as the corpus records it, without evaluation and includes, and its errors."""
    found: list[Diagnostic] = []
    root = parse_file(path, report=found.append, dialect=dialect, evaluate=False, follow_includes=False)
    return root, [problem for problem in found if problem.severity == "error"]


def _difference(got: dict[str, Any], expected: dict[str, Any], path: str = "") -> str:
    here = f"{path}/{expected['name']}"
    for part in ("name", "arg", "attrs"):
        if got[part] != expected[part]:
            return f"{here} {part}: got {got[part]!r}, fluentd has {expected[part]!r}"
    if len(got["elements"]) != len(expected["elements"]):
        return f"{here}: got {len(got['elements'])} sections, fluentd has {len(expected['elements'])}"
    pairs = zip(got["elements"], expected["elements"], strict=True)
    return next((_difference(mine, theirs, here) for mine, theirs in pairs if mine != theirs), "")


def main() -> int:
    """Print what differs, then the counts; 1 where anything differs."""
    counts = {"equal": 0, "refused": 0, "differs": 0}
    for outcome in outcomes():
        counts[outcome.kind] += 1
        if outcome.kind == "differs":
            sys.stdout.write(f"{outcome.file} ({outcome.dialect}): {outcome.detail}\n")
    sys.stdout.write(f"{counts['equal']} equal, {counts['refused']} refused alike, {counts['differs']} differ\n")
    return 1 if counts["differs"] else 0


if __name__ == "__main__":
    sys.exit(main())
