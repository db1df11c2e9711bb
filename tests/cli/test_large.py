"""Checking a large configuration: what it costs grows as the configuration does, and what it says stays readable."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from cProfile import Profile
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Final

import pytest

from logpipe.supervisor import Settings, check

FEW: Final = 100
MANY: Final = 4 * FEW
SOURCE: Final = "<source>\n  @type dummy\n  tag t0.x\n</source>\n"
REST: Final = "<match **>\n  @type null\n</match>\n"


def matches(count: int) -> str:
    """As many rules, of which one is of use."""
    return SOURCE + "".join(f"<match t{number}.**>\n  @type null\n</match>\n" for number in range(count))


def matches_of_two(count: int) -> str:
    """Rules with two patterns each, that begin alike."""
    return SOURCE + "".join(f"<match app.** t{number}>\n  @type null\n</match>\n" for number in range(count))


def filters(count: int) -> str:
    """As many filters between as many matches, with the sources that give them their tags."""
    sections = (
        f"<source>\n  @type dummy\n  tag t{number}.x\n</source>\n"
        f"<filter t{number}.*>\n  @type stdout\n</filter>\n"
        f"<match t{number}.*>\n  @type relabel\n  @label @BACK\n</match>\n"
        for number in range(count)
    )
    return "".join(sections) + "<label @BACK>\n<match **>\n  @type relabel\n  @label @ROOT\n</match>\n</label>\n"


def labels(count: int) -> str:
    """As many labels that nothing leads to."""
    return (
        SOURCE
        + REST
        + "".join(f"<label @L{number}>\n<match>\n@type null\n</match>\n</label>\n" for number in range(count))
    )


def unknown_labels(count: int) -> str:
    """As many outputs that send to a label that is not there."""
    sections = (f"<match t{number}>\n  @type relabel\n  @label @L{number}\n</match>\n" for number in range(count))
    return SOURCE + "".join(sections)


def unknown_parameters(count: int) -> str:
    """As many parameters that no plugin knows."""
    return "<match **>\n  @type null\n" + "".join(f"  odd{number} 1\n" for number in range(count)) + "</match>\n"


def entries(count: int) -> str:
    """As many fields of a record."""
    lines = "".join(f"  key{number} ${{record['a']}}\n" for number in range(count))
    return f"<filter **>\n  @type record_transformer\n  <record>\n{lines}  </record>\n</filter>\n{REST}"


@pytest.mark.slow("every call of two checks of a large configuration is counted")
@pytest.mark.parametrize(
    "text",
    [entries, matches, matches_of_two, filters, labels, unknown_labels, unknown_parameters],
    ids=lambda text: text.__name__,
)
def test_costs_grow_as_the_configuration_does(text: Callable[[int], str], tmp_path: Path) -> None:
    """Four times as many take about four times as many calls; what is compared with each other takes sixteen."""
    path = tmp_path / "logpipe.conf"

    def cost(count: int) -> int:
        path.write_text(text(count), encoding="utf-8")
        return _calls(lambda: check(Settings(config=path)))

    least = cost(1), cost(1)  # the first one imports
    few, many = cost(FEW) - least[1], cost(MANY) - least[1]
    assert many < 5 * few


def test_what_is_installed_is_not_looked_at_for_each_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata of a plugin's distribution is a file, read and parsed anew each time it is asked for."""
    read: list[str] = []
    text_of = PathDistribution.read_text

    def read_text(self: PathDistribution, filename: str | os.PathLike[str]) -> str | None:
        read.append(str(filename))
        return text_of(self, filename)

    monkeypatch.setattr(PathDistribution, "read_text", read_text)
    path = tmp_path / "logpipe.conf"
    path.write_text(matches(1), encoding="utf-8")
    check(Settings(config=path))
    for_one = len(read)
    path.write_text(matches(100), encoding="utf-8")
    check(Settings(config=path))
    assert len(read) == 2 * for_one


def test_the_errors_are_shown_among_very_many_warnings(tmp_path: Path) -> None:
    """Two hundred messages are enough to mend first, every error is among them, and the rest is counted."""
    path = tmp_path / "logpipe.conf"
    path.write_text(f"{matches(1000)}<match>\n  @type file\n</match>\n", encoding="utf-8")
    command = [sys.executable, "-m", "logpipe", "check", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count(" warning: ") == 199
    assert '"path" is required' in done.stderr
    assert done.stderr.endswith("… and 800 warnings more: fix these first\n")
    assert "not usable, 1 error, 999 warnings" in done.stdout


def test_files_that_include_each_other(tmp_path: Path) -> None:
    """Each include that leads back is one error, however many ways there are around."""
    for number in range(12):
        (tmp_path / f"{number:02}.conf").write_text("@include *.conf\n", encoding="utf-8")
    found = check(Settings(config=tmp_path / "00.conf"))
    circles = [each for each in found.diagnostics if each.code == "include-cycle"]
    assert len(circles) == len({each.position for each in circles}) == 12
    assert len(found.diagnostics) == 12


def test_a_quote_that_is_never_closed_before_very_many_lines(tmp_path: Path) -> None:
    """It is said, and the lines that it swallowed are not read once more to find what else is wrong with them."""
    path = tmp_path / "logpipe.conf"
    path.write_text('<match **>\n  @type null\n  x "y\n</match>\n' + "odd value\n" * 200_000, encoding="utf-8")
    found: list[str] = []
    calls = _calls(lambda: found.extend(each.code for each in check(Settings(config=path)).diagnostics))
    assert found == ["open-quote"]
    assert calls < 200_000


def _calls(function: Callable[[], object]) -> int:
    """Return how many functions are called meanwhile, C's included."""
    profile = Profile()
    profile.runcall(function)
    return sum(entry.callcount for entry in profile.getstats())
