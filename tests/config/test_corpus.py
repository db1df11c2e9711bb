"""Public configurations read as fluentd reads them; skipped where they do not lie beside the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logpipe.config.diagnostic import Diagnostic
from logpipe.config.parser import parse_text
from logpipe.config.printer import print_tree
from tests import corpus, corpus_check
from tests.conformance.kind_config import tree_of

pytestmark = pytest.mark.skipif(not corpus.CORPUS.is_dir(), reason="no public configurations in ../shared/corpus")


@pytest.mark.slow("it is every public configuration there is")
def test_trees_and_refusals_are_fluentds() -> None:
    assert [outcome for outcome in corpus.outcomes() if outcome.kind == "differs"] == []


@pytest.mark.slow("it is every public configuration there is")
def test_check_agrees_with_fluentd() -> None:
    """No traceback, and no error on what fluentd accepts, but for the differences on purpose."""
    assert [each.file for each in corpus_check.checked() if each.kind == "wrong"] == []


@pytest.mark.long("it is every public configuration there is")
def test_what_is_printed_loads_to_the_same_tree() -> None:
    different = [path for path in corpus_files() if not _comes_back(path)]

    assert different == []


def corpus_files() -> list[Path]:
    return sorted(path for path in corpus.CORPUS.rglob("*") if path.suffix in {".conf", ".yaml", ".yml"})


def _comes_back(path: Path) -> bool:
    root, errors = corpus.read(path)
    if errors:
        return True
    said: list[Diagnostic] = []
    again: Any = parse_text(print_tree(root), path.name, report=said.append, env={}, follow_includes=False)
    return tree_of(again) == tree_of(root) and all(problem.severity == "warning" for problem in said)
