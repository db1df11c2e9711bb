"""Routes that lead back to where they began: an error where it is certain, a warning where it is possible."""

from __future__ import annotations

import pytest

from logpipe import ConfigError
from logpipe.engine.building.lint.circles import lint_circles
from logpipe.registry import Registry
from logpipe.testing import parse, pipeline

SOURCE = "<source>\n@type sample\ntag a\n</source>\n"
UNKNOWN = "<source>\n@type monitor_agent\n</source>\n"


def relabel(pattern: str, label: str) -> str:
    return f"<match {pattern}>\n@type relabel\n@label {label}\n</match>\n"


def retag(pattern: str, tag: str, more: str = "", key: str = "k") -> str:
    rule = f"<rule>\nkey {key}\npattern /x/\ntag {tag}\n</rule>\n"
    return f"<match {pattern}>\n@type rewrite_tag_filter\n{more}{rule}</match>\n"


def label(name: str, text: str) -> str:
    return f"<label {name}>\n{text}</label>\n"


def copy(label: str) -> str:
    stores = f"<store>\n@type null\n</store>\n<store>\n@type relabel\n@label {label}\n</store>\n"
    return f"<match **>\n@type copy\n{stores}</match>\n"


FILTER = "<filter **>\n@type grep\n<regexp>\nkey k\npattern /x/\n</regexp>\n</filter>\n"
END = "<match **>\n@type null\n</match>\n"
AB = relabel("**", "@A") + label("@A", relabel("**", "@B")) + label("@B", relabel("**", "@A"))


def severities(text: str) -> list[str]:
    found: list[str] = []
    lint_circles(parse(text).elements, Registry(), lambda diagnostic: found.append(diagnostic.severity))
    return found


@pytest.mark.parametrize(
    "text",
    [
        SOURCE + AB,
        UNKNOWN + AB,
        AB,
        SOURCE + END + label("@ERROR", relabel("**", "@ERROR")),
        SOURCE + relabel("**", "@ROOT"),
        SOURCE + relabel("a", "@A") + END + label("@A", copy("@ROOT")),
        SOURCE + copy("@A") + label("@A", copy("@A")),
        SOURCE + retag("**", "x.${tag}"),
        SOURCE + retag("**", "${tag}.x"),
        SOURCE + retag("**", "__TAG__.x"),
        SOURCE + retag("**", "${tag}.$1"),
        SOURCE + retag("**", "${tag}.${tag}"),
        SOURCE + retag("a.** x.**", "x.${tag}"),
        SOURCE + retag("a", "b") + retag("b", "a"),
        SOURCE + relabel("**", "@A") + label("@A", retag("**", "x.${tag}")),
        SOURCE + retag("a", "b", "@label @A\n") + label("@A", retag("b", "a", "@label @ROOT\n")),
        SOURCE + "<match **>\n@type rewrite_tag_filter\nrewriterule1 k x x.${tag}\n</match>\n",
        SOURCE.replace("sample", "tail").replace("tag a", "tag kube.*")
        + relabel("kube.**", "@A")
        + label("@A", relabel("**", "@ROOT")),
    ],
)
def test_what_certainly_goes_round_is_an_error(text: str) -> None:
    """Every event that comes there would."""
    assert severities(text) == ["error"]


@pytest.mark.parametrize(
    "text",
    [
        SOURCE + FILTER + AB.replace("<label @B>\n", f"<label @B>\n{FILTER}"),
        SOURCE + FILTER + retag("**", "x.${tag}"),
        SOURCE + retag("a", "b") + retag("b", "a", key="other"),
        UNKNOWN + relabel("b.**", "@A") + END + label("@A", relabel("**", "@ROOT")),
        UNKNOWN + END + label("@ERROR", relabel("b.**", "@ERROR") + END),
        SOURCE + FILTER + retag("**", "x.${tag}", "<rule>\nkey o\npattern /x/\ntag y\n</rule>\n"),
        SOURCE + FILTER + retag("**", "y", "<rule>\nkey o\npattern /x/\ntag x.${tag}\n</rule>\n"),
    ],
)
def test_what_may_go_round_is_a_warning(text: str) -> None:
    """A filter, another rule, or no event of that tag may end it."""
    assert severities(text) == ["warning"]


@pytest.mark.parametrize(
    "text",
    [
        SOURCE + END,
        SOURCE + relabel("a", "@A") + END + label("@A", relabel("**", "@B")) + label("@B", END),
        SOURCE + relabel("a", "@A") + END + label("@A", relabel("b", "@ROOT") + END),
        SOURCE + retag("**", "other"),
        SOURCE + retag("**", "$1"),
        SOURCE + "<match x.**>\n@type null\n</match>\n" + retag("**", "x.${tag}"),
        SOURCE + retag("a", "b.${tag}") + END,
        SOURCE + retag("**", "x.${tag}", "@label @A\n") + label("@A", END),
        SOURCE + retag("**", "${tag_parts[1]}.x"),
        SOURCE + retag("**", "in.${tag}", "remove_tag_prefix in\n"),
        SOURCE + END + label("@ERROR", relabel("**", "@ROOT")),
        SOURCE + END + relabel("**", "@A") + label("@A", relabel("**", "@A")),
        SOURCE + relabel("a", "@A") + END + label("@A", relabel("b", "@A") + END),
        SOURCE
        + relabel("a", "@A")
        + END
        + label("@A", END)
        + label("@C", relabel("**", "@D"))
        + label("@D", relabel("**", "@C")),
        SOURCE + "<match a>\n@type null\n</match>\n" + retag("**", "x.${tag}"),
    ],
)
def test_what_ends_is_none(text: str) -> None:
    """What fluentd runs without harm must start."""
    assert "error" not in severities(text)


def test_the_message_says_where_and_how() -> None:
    """With the way, and a cure."""
    found: list[str] = []
    text = parse(SOURCE + AB + label("@E", retag("**", "x.${tag}")) + label("@F", END))
    lint_circles(text.elements, Registry(), lambda diagnostic: found.append(str(diagnostic)))
    lint_circles(
        parse(SOURCE + retag("**", "x.${tag}")).elements, Registry(), lambda diagnostic: found.append(str(diagnostic))
    )
    assert found == [
        "test.conf:10:1: error: <match **> @type relabel: events go round for ever: from @A to @B to @A (send them to "
        "an output) [routing-circle]",
        "test.conf:5:1: error: <match **> @type rewrite_tag_filter: events go round for ever: tag 'a' becomes 'x.a', "
        "and they come back here (give them a tag that another <match> before this one takes, or send them to a "
        "label) [routing-circle]",
    ]


async def test_a_circle_does_not_start() -> None:
    """Neither in check nor in run."""
    with pytest.raises(ConfigError, match="routing-circle"):
        async with pipeline(SOURCE + AB):
            pass


def test_hundreds_of_labels_in_a_row_are_no_circle() -> None:
    """And take no time to look at."""
    rows = [label(f"@L{number}", relabel("**", f"@L{number + 1}")) for number in range(300)]
    assert severities(SOURCE + relabel("**", "@L0") + "".join(rows) + label("@L300", END)) == []
    assert severities(SOURCE + relabel("**", "@L0") + "".join(rows) + label("@L300", relabel("**", "@L5"))) == ["error"]
