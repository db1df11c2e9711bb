"""What is planted, and how it is seen what a test runs."""

from __future__ import annotations

import base64
import json
import sys
import zlib
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutants.always import ALWAYS, always
from tests.mutants.draw import LARGEST_SHARE, Possible
from tests.mutants.marks import MODULE, Marks, state_of
from tests.mutants.recording import Recorded, note, recorded
from tests.mutants.sites import mutants
from tests.mutants.targets import targets
from tests.mutants.trees import ROOT

FILE = Path("some.py")
SOURCE = '''\
"""Text that is left alone: 1 < 2."""
LIMIT = 1024

def look(found, log, *, wait=False):
    """Return True."""
    assert found
    log.warning("%d", 7)
    while found and not wait:
        if found.size >= 3:
            found.close(log, wait)
            break
        found.size += 1
    return found.size
'''
CHANGES = """\
: 1024 -> 0
look: False -> True
look: found and (not wait) -> found or not wait
look: not wait -> wait
look: found.size >= 3 -> found.size > 3
look: found.size >= 3 -> found.size < 3
look: 3 -> 4
look: 3 -> 2
look: found.close(log, wait) -> pass
look: found.close(log, wait) -> found.close(wait, log)
look: break -> continue
look: found.size += 1 -> pass
look: found.size += 1 -> found.size -= 1
look: 1 -> 2
look: 1 -> 0
look: return found.size -> return None
"""


def test_what_can_be_planted() -> None:
    source = SOURCE.encode()
    found = mutants(FILE, source)

    changes = {f"{each.function}: {each.change}" for each in found}
    assert changes == set(CHANGES.splitlines())
    for each in found:
        compile(each.planted(source), "some.py", "exec")
        assert each.planted(source).count(b"\n") >= source.count(b"\n") - 1


def test_draws_by_seed() -> None:
    """The same from the same seed, others from another, and not too many of one file, whatever else it has."""
    sources = {Path(f"{name}.py"): SOURCE.encode() for name in "abcdef"}
    possible = Possible(sources)
    drawn = possible.draw(1, 10)

    assert drawn == possible.draw(1, 10)
    assert drawn != possible.draw(2, 10)
    assert len(drawn) == 10
    assert max(sum(each.file == file for each in drawn) for file in sources) <= 10 // LARGEST_SHARE
    longer = {file: source + b"\n\ndef more(x):\n    return x + 1\n" for file, source in sources.items()}
    kept = {each.key for each in Possible(longer).draw(1, 10)}
    assert len(kept.intersection(each.key for each in drawn)) >= 5


def test_places_are_there() -> None:
    """Every module and every mistake with a name is found, and the reasons are for what can be planted."""
    files = targets(ROOT)
    Possible({file: (ROOT / file).read_bytes() for file in files}).reasons()

    for mutant, wanted in zip(always(ROOT), ALWAYS, strict=True):
        planted = mutant.planted((ROOT / mutant.file).read_bytes())
        compile(planted, str(mutant.file), "exec")
        assert mutant.name == wanted.name


def test_statements_say_that_they_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of functions, each by itself; what is outside is run by whoever runs a statement that names it."""
    source = (
        b"MOST = 2\n\ndef small(x):\n    if x < MOST:\n        return 1\n    return 2\n\ndef other():\n    return 3\n"
    )
    marks = Marks()
    text = marks.marked(FILE, source)
    counted = ModuleType("marks")
    counted.MARKS = bytearray(99)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE[:-3].replace("/", "."), counted)
    names: dict[str, object] = {}
    exec(compile(text, "some.py", "exec"), names)  # noqa: S102 - it is what was just made

    assert not any(counted.MARKS)
    assert names["small"](1) == 1  # type: ignore[operator]
    made = {number for number, mark in enumerate(counted.MARKS) if mark}

    assert marks.which(FILE, source, (4, 4)) | marks.which(FILE, source, (5, 8)) == made
    assert marks.which(FILE, source, (6, 4)).isdisjoint(made)
    assert marks.which(FILE, source, (9, 4)).isdisjoint(made)
    assert marks.which(FILE, source, (1, 0)) == marks.which(FILE, source, (4, 4))


def test_a_test_is_known_until_a_module_changes_that_it_ran(tmp_path: Path) -> None:
    """Wherever the marks of that module begin by then."""
    one, other, changed = b"def f():\n    return 1\n", b"def g():\n    return 2\n", b"def f():\n    return 3\n"
    made = base64.b64encode(zlib.compress(b"\1")).decode()
    row = {"test": "t", "content": "c", "seconds": 0.1, "passed": True, "marks": {"one.py": [state_of(one), made]}}
    (tmp_path / "1.jsonl").write_text(json.dumps(row) + '\n{"test": "torn')

    def known(**files: bytes) -> Recorded:
        marks = Marks()
        for name, source in files.items():
            marks.marked(Path(f"{name}.py"), source)
        note(tmp_path, marks)
        (found,) = recorded(tmp_path)
        return found

    assert known(one=one, other=other).marks == {0}
    assert known(other=other, one=one).marks == {1}
    assert known(one=one, other=changed).is_current
    assert not known(one=changed, other=other).is_current
    assert not known(other=other).is_current
