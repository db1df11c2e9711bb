"""Which test runs which statement: source text that says so itself.

Each statement of a function is preceded by one that marks it in a piece of memory, which is a file that all processes
of a test share. So what a test starts, and what it kills, is seen as well, and nothing traces the interpreter.
"""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

FOLDER: Final = "LOGPIPE_MUTANTS_MARKS"
"""The environment variable that names the folder of those files."""
MODULE: Final = "logpipe/marks_of_mutants.py"
SIZE: Final = 1 << 16

MARKING: Final = f'''\
"""What was run, for tests/mutants; see marks.py there."""

import mmap
import os

folder = os.environ.get("{FOLDER}")
if folder is None:
    MARKS = bytearray({SIZE})
else:
    file = os.open(f"{{folder}}/{{os.environ.get('PYTEST_XDIST_WORKER', 'main')}}", os.O_RDWR | os.O_CREAT, 0o644)
    os.ftruncate(file, {SIZE})
    MARKS = mmap.mmap(file, {SIZE})
    os.close(file)
'''


@dataclass(slots=True)
class Marks:
    """Where the marks of some files stand."""

    numbers: dict[tuple[Path, int, int], int] = field(default_factory=dict)
    """By file, line and column of a function's statement; a function that is in none has its first statement's."""
    names: dict[tuple[Path, str], set[int]] = field(default_factory=dict)
    """The statements of a file that name something."""
    of_file: dict[Path, range] = field(default_factory=dict)
    states: dict[Path, str] = field(default_factory=dict)
    """What tells each file from an older or a newer one."""
    _count: int = 0

    def marked(self, file: Path, source: bytes) -> str:
        """Return a file's text in which every statement is marked."""
        tree = ast.parse(source)
        start = self._count
        _Marking(self, file).visit(tree)
        self.of_file[file] = range(start, self._count)
        self.states[file] = state_of(source)
        place = 1 + max(
            (n for n, node in enumerate(tree.body) if isinstance(node, ast.ImportFrom) and node.module == "__future__"),
            default=-1 if ast.get_docstring(tree) is None else 0,
        )
        tree.body.insert(place, ast.parse(f"from {MODULE[:-3].replace('/', '.')} import MARKS as _MARKS").body[0])
        return ast.unparse(ast.fix_missing_locations(tree))

    def next(self, file: Path, statement: ast.stmt) -> ast.stmt:
        """Return what marks a statement."""
        number = self._count
        self._count += 1
        if self._count > SIZE:
            raise OverflowError(f"more than {SIZE} statements: raise SIZE in {__file__}")
        self.numbers[file, statement.lineno, statement.col_offset] = number
        for node in ast.walk(statement):
            if isinstance(node, (ast.Name, ast.Attribute)):
                name = node.id if isinstance(node, ast.Name) else node.attr
                self.names.setdefault((file, name), set()).add(number)
        return ast.parse(f"_MARKS[{number}] = 1").body[0]

    def which(self, file: Path, source: bytes, place: tuple[int, int]) -> set[int]:
        """Return the marks one of which a test must have made to notice a mistake in a statement."""
        number = self.numbers.get((file, *place))
        if number is not None:
            return {number}
        statement = next(
            node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.stmt) and (node.lineno, node.col_offset) == place
        )
        if isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            named = [self.names.get((file, ast.unparse(target)), set()) for target in targets]
            if found := set().union(*named):
                return found
        return set(self.of_file[file])


def state_of(source: bytes) -> str:
    """Return what tells a file from an older or a newer one."""
    return hashlib.blake2b(source, digest_size=8).hexdigest()


class _Marking(ast.NodeTransformer):
    def __init__(self, marks: Marks, file: Path) -> None:
        self._marks = marks
        self._file = file
        self._depth = 0

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self._depth += 1
        head = node.body[:1] if ast.get_docstring(node) is not None else []
        body = node.body[len(head) :]
        first = body[0] if body else None
        node.body = head + self._marked(body)
        if first is not None and self._depth == 1:
            number = self._marks.numbers[self._file, first.lineno, first.col_offset]
            self._marks.numbers[self._file, node.lineno, node.col_offset] = number
        self._depth -= 1
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._visit_function(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Mark what is in a block of a function."""
        if not self._depth:
            return super().generic_visit(node)
        for name, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                setattr(node, name, self._marked(value))
            elif isinstance(value, list):
                for child in value:
                    if isinstance(child, (ast.excepthandler, ast.match_case)):
                        self.generic_visit(child)
        return node

    def _marked(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        marked: list[ast.stmt] = []
        for statement in statements:
            marked.append(self._marks.next(self._file, statement))
            marked.append(self.visit(statement))
        return marked
