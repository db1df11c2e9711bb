"""Checks public configurations as `logpipe check` does: `python -m tests.corpus_check`.

Prints every error on a file whose plugins are all installed and whose syntax fluentd accepts, then the counts.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from logpipe.config.diagnostic import Diagnostic
from logpipe.config.parser import parse_file
from logpipe.engine.graph import Graph
from logpipe.errors import ConfigError
from logpipe.registry import Registry
from tests.corpus import CORPUS


@dataclass(frozen=True, slots=True)
class Checked:
    """What there is to say about one file."""

    file: str
    diagnostics: list[Diagnostic]

    @property
    def errors(self) -> list[Diagnostic]:
        """What keeps it from running."""
        return [diagnostic for diagnostic in self.diagnostics if diagnostic.severity == "error"]

    @property
    def is_installed(self) -> bool:
        """Whether every plugin it names is there."""
        return not any(diagnostic.code == "unknown-plugin" for diagnostic in self.diagnostics)


def checked() -> Iterator[Checked]:
    """Check each file of the corpus that fluentd's parser accepts."""
    registry = Registry(log=logging.getLogger("logpipe.check"))
    with (CORPUS / "expected.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["v1"] == "ok":
                yield Checked(row["file"], _check(row["file"], registry))


def _check(file: str, registry: Registry) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    root = parse_file(CORPUS / file, report=found.append, env={}, hostname="host")
    if not any(diagnostic.severity == "error" for diagnostic in found):
        try:
            Graph.build(root, registry=registry, report=found.append, log=logging.getLogger("logpipe.check"))
        except ConfigError:
            return found
    return found


def main() -> int:
    """Print the errors and the counts; 1 where there are errors."""
    total = installed = failed = 0
    for each in checked():
        total += 1
        if each.is_installed:
            installed += 1
            failed += bool(each.errors)
            for error in each.errors:
                print(error)  # noqa: T201 - a command
    print(f"{total} files, {installed} with every plugin installed, {failed} of these with errors")  # noqa: T201 - a command
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
