"""Which tests run what, recorded once: those are run again that have changed, or that ran a module that has."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.mutants.marks import FOLDER, MARKING, MODULE, Marks
from tests.mutants.processes import Processes
from tests.mutants.recording import RECORDS, Recorded, content_of, note, recorded
from tests.mutants.sites import Mutant
from tests.mutants.targets import NOT_CHOSEN
from tests.mutants.trees import ROOT, Tree

OWN_FIRST: Final = 10.0
"""How much longer a test may take that is named after the module, and still come first."""
SAY_SECONDS: Final = 30.0


class Known:
    """What the tests are known to run.

    Args:
        sources: the files' bytes in which something may be planted.
        folder: where it is kept.
    """

    def __init__(self, sources: dict[Path, bytes], folder: Path) -> None:
        self._sources = sources
        self._marks = Marks()
        self._marked = {file: self._marks.marked(file, source) for file, source in sources.items()}
        self._folder = folder
        self._records = folder / "records"
        self.tests: list[Recorded] = []

    def record(
        self, processes: Processes, places: list[str], say: Callable[[str], None], *, jobs: int, but_slow: bool
    ) -> None:
        """Run the tests of these places that are not known yet, as they are now; without the slow ones if so asked."""
        tree = Tree("recorded")
        tree.write(Path(MODULE), MARKING.encode())
        for file, text in self._marked.items():
            tree.write(file, text.encode())
        marks = self._folder / "marks"
        for folder in (self._records, marks):
            folder.mkdir(parents=True, exist_ok=True)
        note(self._records, self._marks)
        done = self._folder / "done.json"
        whole = dict(json.loads(done.read_text())) if done.exists() else {}
        newest = {each.test: each for each in recorded(self._records)}
        for each in newest.values():
            if not each.is_current:
                whole.pop(each.test.partition("::")[0], None)
        files = [
            str(file) for file in _test_files(places) if whole.get(str(file)) != self._state(file, but_slow=but_slow)
        ]
        if files:
            say(f"{len(files)} files of tests are run once, to see what they run")
            environment = {**tree.environment, FOLDER: str(marks), RECORDS: str(self._records)}
            log = self._folder / "recording.log"
            arguments = [f"-n{jobs}", *(["-m", "not slow"] if but_slow else []), *files]
            with processes.pytest(
                "tests.mutants.recording", arguments, folder=tree.folder, environment=environment, log=log
            ) as process:
                while process.poll() is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(SAY_SECONDS)
                    count = sum(file.read_bytes().count(b"\n") for file in self._records.glob("*.jsonl"))
                    say(f"  {count} tests recorded")
            whole |= {file: self._state(Path(file), but_slow=but_slow) for file in files}
            done.write_text(json.dumps(whole))
        newest = {each.test: each for each in recorded(self._records)}
        current = {str(file): content_of(ROOT / file) for file in _test_files(["tests", "plugins"])}
        self.tests = [
            each
            for each in newest.values()
            if each.is_current and current.get(each.test.partition("::")[0]) == each.content
        ]

    @staticmethod
    def _state(file: Path, *, but_slow: bool) -> str:
        return content_of(ROOT / file) + (" but slow tests" if but_slow else "")

    def tests_of(self, mutant: Mutant) -> list[Recorded]:
        """Return the tests that run a mutant's statement, those first that tell soonest."""
        marks = self._marks.which(mutant.file, self._sources[mutant.file], mutant.statement)
        able = [test for test in self.tests if test.passed and not marks.isdisjoint(test.marks)]
        module = mutant.file.stem.rstrip("s")

        def cost(test: Recorded) -> float:
            return max(test.seconds, 0.01) / (OWN_FIRST if module in test.test.partition("::")[0] else 1.0)

        return sorted(able, key=cost)


def _test_files(places: list[str]) -> Iterator[Path]:
    """Yield the files of tests that may be chosen."""
    for place in places:
        for file in sorted((ROOT / place).rglob("test_*.py")) if (ROOT / place).is_dir() else [ROOT / place]:
            name = str(file.relative_to(ROOT))
            if not any(name == each or name.startswith(f"{each}/") for each in NOT_CHOSEN):
                yield Path(name)
