"""Fluentd's settings beside ours: `docs/reference/fluentd.tsv` lists the former, the Options classes have the latter.

Each line of the list has kind, type, parameter, versions (1, 0.12), Fluentd's default and a note, between tabs. A
parameter of a nested section is written `section.parameter`, a section itself `<section>`; the type `*` is what all of
a kind have. The kind `section` is for sections that stages share, `flat` for 0.12's parameters that are moved into one.
A note is empty, `no effect: REASON` where we take a parameter and ignore it, or `absent: REASON` where we do not.

`docs/reference/namesakes/FAMILY.tsv` is the same for the gems that stages of `plugins/logpipe-FAMILY` are named after:
the versions are those of the gems, and a last column names a test that shows what the parameter does,
`FILE.py::NAME` in the family's tests. A parameter without one does not count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final, NamedTuple

from logpipe.config.compat import names_of
from logpipe.config.declare import Setting
from logpipe.config.options import Options, PluginClass, hints, options_class

_IGNORED: Final = re.compile(r"(Accepted for [^:;,.]*[:;]|Without effect[:,])\s*(.*)", re.DOTALL)
"""How the sentence of a setting begins that has no effect, and is none to warn of."""


class Line(NamedTuple):
    """A parameter of Fluentd's."""

    kind: str
    type: str
    parameter: str
    versions: str
    default: str
    note: str
    test: str = ""
    """What shows its effect, of a family's."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A parameter of Fluentd's beside ours."""

    line: Line
    status: str
    """yes, no effect, absent, stage missing, no test, or unknown: we lack it and nothing says why."""
    reason: str = ""


def read_lines(text: str) -> list[Line]:
    """Return the list's lines.

    Raises:
        ValueError: a line has another number of columns, or a note of another form.
    """
    lines = [Line(*row.split("\t")) for row in text.splitlines()[1:]]
    for line in lines:
        if line.note and not line.note.startswith(("no effect: ", "absent: ")):
            raise ValueError(f"{line.kind} {line.type} {line.parameter}: a note begins with no effect: or absent:")
    return lines


def compare(
    lines: Iterable[Line], classes: Iterable[PluginClass], others: Mapping[str, type[Options]] | None = None
) -> list[Compared]:
    """Return each parameter with what is here in its place.

    Args:
        lines: of the list.
        classes: those of the installed stages.
        others: sections that stand in no stage, by name.
    """
    by_name = {(cls.kind, name): cls for cls in classes for name in cls.types}
    shared = {**dict(_shared_sections(by_name.values())), **(others or {})}
    return [_compared(line, by_name, shared) for line in lines]


def _compared(
    line: Line, by_name: Mapping[tuple[str, str], PluginClass], shared: Mapping[str, type[Options]]
) -> Compared:
    if line.kind == "flat":
        known = line.parameter in names_of(line.type)
        return _told(line, Setting("param", "") if known else None)
    if line.kind == "section":
        options = [shared[line.type]] if line.type in shared else []
    elif line.type == "*":
        options = [cls.options_class for (kind, _), cls in by_name.items() if kind == line.kind]
    else:
        cls = by_name.get((line.kind, line.type))
        if cls is not None and _is_moved(line.parameter, cls):
            return Compared(line, "yes", "moved into its section")
        options = [] if cls is None else [cls.options_class]
    if not options:
        return Compared(line, "stage missing")
    found = [setting_of(each, line.parameter) for each in options]
    return _told(line, None if found[0] is None or None in found else found[0][0])


def _is_moved(parameter: str, cls: PluginClass) -> bool:
    own = cls.compat_own.values()
    return any(parameter in names for names in (*own, *map(names_of, cls.compat)))


def _told(line: Line, found: Setting | None) -> Compared:
    word, _, reason = line.note.partition(": ")
    if found is None:
        return Compared(line, "absent", reason) if word == "absent" else Compared(line, "unknown")
    ignored = _IGNORED.match(found.doc)
    if found.no_effect or ignored or word == "no effect":
        return Compared(line, "no effect", reason or found.no_effect or (ignored[2] if ignored else ""))
    return Compared(line, "yes", f"removed: {found.removed}" if found.removed else "")


def setting_of(options: type[Options], parameter: str) -> tuple[Setting, Any] | None:
    """Return the setting that a parameter is, by its name or its alias, through nested sections; and its type."""
    head, dot, rest = parameter.partition(".")
    section = head[1:-1] if head.startswith("<") else head if dot else ""
    for name, setting in options.settings().items():
        word = setting.name or name
        if section and word == section and setting.role in {"section", "plugin", "raw"}:
            if not dot:
                return setting, hints(options)[name]
            inner = setting.owned if setting.role == "plugin" else options_class(hints(options)[name])
            return None if inner is None else setting_of(inner, rest)
        if not section and head in {word, setting.alias} and setting.role in {"param", "argument"}:
            return setting, hints(options)[name]
    extra = options._extra  # noqa: SLF001 - a class attribute, as for who reads it
    return (Setting("param", "", None), str) if extra is not None and not section and extra.fullmatch(head) else None


def _shared_sections(classes: Iterable[PluginClass]) -> Iterator[tuple[str, type[Options]]]:
    for cls in classes:
        for name, setting in cls.options_class.settings().items():
            if setting.role == "section":
                yield setting.name or name, options_class(hints(cls.options_class)[name])


def family_page(family: str, compared: Iterable[Compared], head: str) -> str:
    """Return the page that shows the comparison of a family of stages with those that they are named after."""
    rows = [
        replace(each, status="no test") if each.status == "yes" and not each.line.test else each for each in compared
    ]
    lines = [
        head,
        f"# Parameters of the stages in logpipe-{family}\n",
        "Every parameter of the stages that they are named after, and whether it is here. It counts where a test shows "
        f"what it does, which is in plugins/logpipe-{family}/tests. *No effect* is accepted and ignored, and *absent* "
        "is refused, for the reason given. Settings of ours that are in addition are in the pages of the stages.\n",
        "| stage | of | parameters | known | no effect | absent | missing |",
        "|---|---|---|---|---|---|---|",
    ]
    for (kind, type_), group in groupby(rows, key=lambda each: each.line[:2]):
        those = list(group)
        count = Counter(each.status for each in those)
        known = [count.pop(status, 0) for status in ("yes", "no effect", "absent")]
        numbers = " | ".join(map(str, (len(those), *known, count.total())))
        lines.append(f"| {kind} `{type_}` | {those[0].line.versions} | {numbers} |")
    return "\n".join([*lines, "", *_tables(rows, ("of", "test"))]) + "\n"


def comparison_page(compared: Iterable[Compared], head: str) -> str:
    """Return the page that shows the comparison."""
    lines = [
        head,
        "# Fluentd's settings and ours\n",
        "Every setting of `<system>` and of the stages that ship with Fluentd 1.19.3 and 0.12, and whether it is "
        "here. *No effect* is "
        "accepted and ignored, for the reason given. Settings of ours that Fluentd does not have are in the pages of "
        "the stages.\n",
    ]
    return "\n".join([*lines, *_tables(compared, ("fluentd", ""))]) + "\n"


def _tables(compared: Iterable[Compared], titles: tuple[str, str]) -> Iterator[str]:
    """Yield a table for each stage.

    Args:
        compared: the parameters.
        titles: of the column with the versions, and of the one with the test, "" for none.
    """
    versions, test = titles
    before = ""
    for each in compared:
        line = each.line
        title = f"## {line.kind} {'(all)' if line.type == '*' else f'`{line.type}`'}\n"
        if title != before:
            if before:
                yield ""
            yield title
            yield f"| setting | {versions} | default there | here | why |{f' {test} |' if test else ''}"
            yield f"|---|---|---|---|---|{'---|' if test else ''}"
            before = title
        default = f"`{line.default}`" if line.default and "`" not in line.default else ""
        row = [f"`{line.parameter}`", line.versions, default, each.status, each.reason.replace("\n", " ")]
        row += [f"`{line.test}`" if line.test else ""] if test else []
        yield "| " + " | ".join(text.replace("|", "\\|") for text in row) + " |"
