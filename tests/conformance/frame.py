"""What a conformance row is, and who judges it: the module `kind_<kind>` of this folder, by its `run(row)`."""

from __future__ import annotations

import enum
import importlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.conformance.deviations import DEVIATIONS

FOLDER: Final = Path(__file__).parent
COPIES: Final = sorted(FOLDER.glob("*.jsonl"))


class Verdict(enum.Enum):
    """What became of a row."""

    PASSED = "ok"
    FAILED = "FAIL"
    SKIPPED = "skipped"
    DIFFERS = "differs"
    """From fluentd, on purpose."""


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a file's rows."""
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


@cache
def _judge(kind: str) -> Callable[[dict[str, Any]], str | None] | None:
    name = f"tests.conformance.kind_{kind}"
    if importlib.util.find_spec(name) is None:
        return None
    run: Callable[[dict[str, Any]], str | None] = importlib.import_module(name).run
    return run


def judge(row: dict[str, Any]) -> tuple[Verdict, str]:
    """Return what becomes of a row, and why."""
    run = _judge(row["kind"])
    if run is None:
        return Verdict.SKIPPED, f"no stage yet for rows of kind {row['kind']}"
    try:
        difference = run(row)
    except Exception as error:  # noqa: BLE001 - a row that breaks its judge has failed, and the others go on
        difference = f"{type(error).__name__}: {error}"
    reason = DEVIATIONS.get(row["id"])
    if difference is None:
        return (Verdict.PASSED, "") if reason is None else (Verdict.FAILED, "is as fluentd: take it off the deviations")
    if difference.startswith("SKIP: "):
        return Verdict.SKIPPED, difference.removeprefix("SKIP: ")
    if reason is not None:
        return Verdict.DIFFERS, f"({reason}) {difference}"
    return Verdict.FAILED, difference
