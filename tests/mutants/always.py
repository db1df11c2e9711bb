"""Mistakes that are planted in every run, by name: no test had noticed them once.

Each is found by its function and by what stands there, wherever the function is by now; when the place is gone,
somebody has to say where it went.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mutants.sites import Mutant, Text


@dataclass(frozen=True, slots=True)
class Always:
    """One of them."""

    name: str
    function: str
    """By its qualified name."""
    old: str
    """An expression or a statement of it, as its syntax tree has it: line breaks and comments make no difference."""
    new: str
    is_last: bool = False
    """Whether it is the last of several that are equal; else there must be one."""


ALWAYS: Final = [
    Always(
        "dead letters cause no back-pressure",
        "Router.emit",
        "self._dead_letters.is_full and not self.is_error_label",
        "False",
    ),
    Always(
        "the retry state is kept after giving up",
        "ChunkQueue.gave_up",
        "failing.retry, failing.not_before = None, now",
        "pass",
    ),
    Always(
        "a ValueError starts the hunt for the poison at the first refusal",
        "Sending.send",
        "self._bad_data != chunk.id or not _is_divisible(output, chunk)",
        "not _is_divisible(output, chunk)",
    ),
    Always(
        "events are blamed though none has passed",
        "PoisonHunt._condemn",
        "not self._succeeded and not isinstance(error, PermanentError)",
        "False",
    ),
    Always(
        "an append of dead letters that fails is not cut back",
        "Disk.append_shared",
        "lambda: os.ftruncate(descriptor, size)",
        "lambda: None",
    ),
    Always(
        "the folder of a new file of dead letters is not synced",
        "Disk.append_shared",
        "self.sync_folder(path.parent)",
        "pass",
    ),
    Always(
        "the heads of a position file are written before its rows",
        "PositionFile._save",
        "self._add_heads(heads)",
        'self._replace(_beside(self._real, ".heads"), heads)',
    ),
    Always(
        "filters are started before outputs",
        "Graph._start",
        "(*self.stages.outputs, *self.stages.filters)",
        "(*self.stages.filters, *self.stages.outputs)",
    ),
    Always(
        "what a route leaves unexplained is always 0",
        "_route_line",
        "router.emitted.value - gone - unmatched - passed - refused",
        "0",
    ),
    Always(
        "two distributions may claim one name",
        "Registry.find",
        "len({entry.value for entry in entries}) > 1",
        "False",
    ),
    Always(
        "a character of UTF-8 is torn where a long line is cut",
        "Reader._cut_long_line",
        "line[: last_character(line)]",
        "line[:]",
    ),
    Always(
        "a block is handed to a function that takes none",
        "_function",
        "block is not None and not found.takes_block",
        "False",
    ),
    Always(
        "a block is handed to a method that takes none",
        "_dispatched",
        "known is not None and (block is None or known.takes_block)",
        "known is not None",
    ),
    Always(
        "errors are not settled a second time while draining",
        "Draining._filters_and_letters",
        "yield self._world.dead_letters, self._log, self._world.dead_letters.settle",
        "(yield self._world.dead_letters, self._log, self._world.dead_letters.settle) if not self._begun else None",
    ),
    Always(
        "filters are not drained a second time",
        "Draining._filters_and_letters",
        "isinstance(stage.plugin, FilterBase) and stage.plugin.holds_back()",
        "isinstance(stage.plugin, FilterBase) and stage.plugin.holds_back() and stage.plugin not in self._begun",
    ),
    Always(
        "a forward is overtaken by what comes after it",
        "_Order.enter",
        "[] if self._forward is None else [self._forward]",
        "[]",
    ),
    Always(
        "what a filter holds is counted as lost",
        "_route_line",
        "missing -= holding",
        "pass",
    ),
]


def always(root: Path) -> list[Mutant]:
    """Return them all.

    Raises:
        LookupError: the place of one is gone, or it has two.
    """
    files = {file.relative_to(root): file.read_bytes() for file in sorted((root / "logpipe").rglob("*.py"))}
    return [_found(each, files) for each in ALWAYS]


def _found(each: Always, files: dict[Path, bytes]) -> Mutant:
    name = each.function.rpartition(".")[2].encode()
    places = [
        place
        for file, source in files.items()
        if b"def " + name + b"(" in source
        for place in _places(each, file, Text(source))
    ]
    if not places or (len(places) > 1 and not each.is_last):
        raise LookupError(f"{len(places)} places of {each.name!r}: mend {each.function} in {__file__}")
    return places[-1]


def _places(each: Always, file: Path, text: Text) -> Iterator[Mutant]:
    wanted = _dumped(each.old)
    for function in _functions(text.tree, each.function.split(".")):
        for statement, node in _within(function):
            if ast.dump(node) == wanted:
                start, stop = text.span(node)
                new = each.new if isinstance(node, ast.stmt) or each.new == "pass" else f"({each.new})"
                change = f"{each.old} -> {textwrap.shorten(each.new, 100)}"
                place = (statement.lineno, statement.col_offset)
                yield Mutant(file, each.function, node.lineno, start, stop, new, change, place, each.name)


def _dumped(text: str) -> str:
    statement = ast.parse(text).body[0]
    return ast.dump(statement.value if isinstance(statement, ast.Expr) else statement)


def _functions(tree: ast.AST, names: list[str]) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == names[0]:
            if len(names) > 1:
                yield from _functions(node, names[1:])
            else:
                yield node


def _within(node: ast.AST, statement: ast.stmt | None = None) -> Iterator[tuple[ast.stmt, ast.expr | ast.stmt]]:
    for child in ast.iter_child_nodes(node):
        inner = child if isinstance(child, ast.stmt) else statement
        if inner is not None and isinstance(child, (ast.expr, ast.stmt)):
            yield inner, child
        yield from _within(child, inner)
