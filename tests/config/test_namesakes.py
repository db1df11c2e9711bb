"""The parameters of stages that other gems ship: none is missing, and each is shown by a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe.config.comparison import Line, compare, family_page, read_lines
from logpipe.registry import Registry
from tests.namesakes import mentions, says

TOP = Path(__file__).parents[2]
LISTS = sorted((TOP / "docs" / "reference" / "namesakes").glob("*.tsv"))


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_every_parameter_of_a_namesake(path: Path) -> None:
    """It has an effect that a test shows, or a reason."""
    lines = read_lines(path.read_text("utf-8"))
    registry = Registry()
    stages = {line[:2] for line in lines}
    compared = compare(lines, [registry.find(*stage) for stage in stages])
    assert [each.line[:3] for each in compared if each.status in {"unknown", "stage missing"}] == []
    assert [each.line[:3] for each in compared if each.status in {"no effect", "absent"} and not each.reason] == []
    assert [each.line[:3] for each in compared if each.line.note[:6] == "absent" and each.status == "yes"] == []
    tests = mentions(TOP / "plugins" / f"logpipe-{path.stem}" / "tests")
    counted = [each.line for each in compared if each.status == "yes"]
    # a test that is not there, or does not have the parameter
    assert [(line[:3], line.test) for line in counted if not says(tests.get(line.test, ""), line.parameter)] == []
    assert len({line[:3] for line in lines}) == len(lines)


def test_families_that_have_a_list() -> None:
    """So that a list which is not found is no success."""
    assert "elasticsearch" in {path.stem for path in LISTS}


def test_what_a_test_says() -> None:
    """A parameter is in its configuration, or in one of its module that it uses; not in its docstring alone."""
    tests = mentions(TOP / "plugins" / "logpipe-elasticsearch" / "tests")
    assert says(tests["test_documents.py::test_documents"], "logstash_prefix_separator")
    assert says(tests["test_connection.py::test_headers"], "custom_headers")
    assert not says(tests["test_connection.py::test_headers"], "id_key")
    assert not says(tests["test_connection.py::test_requests_in_the_log"], "transporter_log")


def test_a_parameter_that_no_test_shows() -> None:
    """It does not count."""
    lines = [Line("filter", "grep", "<regexp>", "some 1.0", "", "", test) for test in ("", "test_a.py::test_b")]
    page = family_page("some", compare(lines, [Registry().find("filter", "grep")]), "")
    assert "| filter `grep` | some 1.0 | 2 | 1 | 0 | 0 | 1 |" in page
    assert "| `<regexp>` | some 1.0 |  | no test |  |  |" in page
