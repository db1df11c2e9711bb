"""Settings that are declared wrong: their author is told when the class is made."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Literal

import pytest

from logpipe import EventBatch, Filter, Options, Output, PluginConf, Size, param, plugin_section, section
from logpipe.registry import Registry, UnknownPluginError
from logpipe.ruby import RecordAccessor
from logpipe.testing import check_plugin, drive


def options_with(annotation: Any, setting: Any) -> Callable[[], object]:
    """Return what makes a class with the setting `mine`; an annotation of `...` leaves it out."""
    body = {
        "mine": setting,
        "__module__": __name__,
        "__annotations__": {} if annotation is ... else {"mine": annotation},
    }
    return lambda: type("MyOptions", (Options,), body)


class Odd:
    """No type of a setting."""


@pytest.mark.parametrize(
    ("annotation", "setting", "said"),
    [
        (..., param("Mine."), r"MyOptions\.mine has no type: write mine: TYPE = … \(str, for example\)"),
        (..., section("Mine."), r"MyOptions\.mine has no type: .* \(the section's Options class, or list\[…\] of it\)"),
        (..., plugin_section("Mine.", kind="parser"), r"MyOptions\.mine has no type: .* \(PluginConf, .*\)"),
        (Odd, param("Mine."), r"MyOptions\.mine: text cannot be made a Odd: give param\(…, convert=FUNCTION\), .*"),
        (list[Odd], param("Mine."), r"MyOptions\.mine: text cannot be made a list\[.*Odd\]: .*"),
        (int | str, param("Mine."), r"MyOptions\.mine: text cannot be made a int \| str: .*"),
        (Literal[1, 2], param("Mine."), r"MyOptions\.mine: text cannot be made a typing\.Literal\[1, 2\]: .*"),
        (str, section("Mine."), r"MyOptions\.mine: str is no type of a section: .*"),
        (int, param("Mine.", default="many"), r"MyOptions\.mine: its default 'many' cannot be read: .*"),
        (Size, param("Mine.", default=[]), r"MyOptions\.mine: its default is \[\]: it is no Size"),
        (int, param("Mine.", default=1.5), r"MyOptions\.mine: its default is 1\.5: it is no int"),
        (int, param("Mine.", default=True), r"MyOptions\.mine: its default is True: it is no int"),
        (bool, param("Mine.", default=1), r"MyOptions\.mine: its default is 1: it is no bool"),
        (str, param("Mine.", default=8), r"MyOptions\.mine: its default is 8: it is no str"),
        (str, param("Mine.", default=None), r"MyOptions\.mine: its default is None: write \| None behind its type str"),
        (Literal["a", "b"], param("Mine.", default="c"), r"MyOptions\.mine: its default 'c' cannot be read: .*"),
        (list[str], param("Mine.", default={}), r"MyOptions\.mine: its default is \{\}: it is no list\[str\]"),
        (RecordAccessor, param("Mine.", default="$.a["), r"MyOptions\.mine: its default '\$\.a\[' cannot be read: .*"),
    ],
)
def test_a_declaration_that_cannot_be_read(annotation: Any, setting: Any, said: str) -> None:
    """The message names class and setting, and says what to write."""
    with pytest.raises(TypeError) as caught:
        options_with(annotation, setting)()
    assert re.fullmatch(said, str(caught.value)), caught.value


@pytest.mark.parametrize(
    ("annotation", "setting"),
    [
        (Odd, param("Mine.", convert=lambda _text: Odd())),
        (float, param("Mine.", default=1)),
        (Size | None, param("Mine.", default=None)),
        (Size, param("Mine.", default="8m")),
        (list[str], param("Mine.", default=["a"])),
        (dict[str, int], param("Mine.", default={})),
        (re.Pattern[str] | None, param("Mine.", default="/x/")),
        (RecordAccessor, param("Mine.", default="$.a.b")),
        (PluginConf, plugin_section("Mine.", kind="parser")),
    ],
)
def test_a_declaration_that_is_right(annotation: Any, setting: Any) -> None:
    """Nothing is said of it."""
    options_with(annotation, setting)()


class FieldOptions(Options):
    """Which field."""

    field: RecordAccessor = param("Path of the field to double.", default="$.a.b")


class Double(Filter[FieldOptions], type="double"):
    """Doubles a field."""

    def filter(self, _tag: str, _time: int, record: dict[str, Any]) -> dict[str, Any] | None:
        path = self.options.field
        path.set(record, path.get(record) * 2)
        return record


@pytest.mark.parametrize(
    ("conf", "record", "doubled"), [("", {"a": {"b": 2}}, {"a": {"b": 4}}), ("field n", {"n": 1}, {"n": 2})]
)
async def test_a_path_of_a_field(conf: str, record: dict[str, Any], doubled: dict[str, Any]) -> None:
    """A setting may be a path into records, by its type."""
    await check_plugin(Double, conf)
    async with drive(Double, conf) as stage:
        await stage.feed("app", record)
        assert stage.records() == [doubled]


async def test_a_path_that_is_none() -> None:
    """It is an error with the setting's place."""
    with pytest.raises(Exception, match=r'test\.conf:3:7: error: .* "field": .*'):
        async with drive(Double, "field $.a["):
            pass


class Named(Options):
    """A name, and another field."""

    name: str = param("A name.", default="n")
    field: RecordAccessor = param("Path of the field to print.", default="$.c")


class Both(Named, FieldOptions):
    """The settings of both."""


def test_the_settings_of_two_bases() -> None:
    """Both bases' settings count, and of one that both have the first base's."""
    assert (Both().name, Both().field.get({"c": 1})) == ("n", 1)
    assert set(Both.settings()) == {"field", "name"}


class Elsewhere(Output[Options], type="elsewhere"):
    """An output."""

    async def process(self, batch: Any) -> None:
        """Take it."""


class Late(Options):
    """Has a type that is nowhere."""

    when: Never = param("Never.")  # type: ignore[name-defined]  # noqa: F821 - what is tested


class LateFilter(Double, type="late"):
    """Has settings that nobody can read."""

    options_class = Late


@pytest.mark.parametrize(
    ("group", "name", "target", "said"),
    [
        ("filter", "x", "Odd", "is no plugin's class"),
        ("filter", "x", "options_with", "is no plugin's class"),
        ("filter", "elsewhere", "Elsewhere", "is a plugin of another kind, output: its entry point belongs under"),
        ("output", "x", "Elsewhere", "has another type (elsewhere)"),
        ("filter", "late", "LateFilter", "declares a setting wrong: name 'Never' is not defined"),
    ],
)
def test_an_entry_point_of_the_wrong_kind(
    group: str, name: str, target: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told what it is, and what it should be."""
    registry = Registry()
    entry = EntryPoint(name, f"{__name__}:{target}", f"logpipe.{group}")
    monkeypatch.setitem(registry._entries, (group, name), [entry])
    with pytest.raises(UnknownPluginError) as caught:
        registry.find(group, name)
    assert f'{group} plugin "{name}": {__name__}:{target} {said}' in str(caught.value)


def test_what_is_installed_while_it_runs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry made later, as by a reload, knows it."""
    monkeypatch.syspath_prepend(tmp_path)
    assert Registry().get("output", "newcomer") is None
    metadata = tmp_path / "newcomer-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: newcomer\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[logpipe.output]\nnewcomer = {__name__}:Newcomer\n")
    assert Registry().get("output", "newcomer") is Newcomer


class Newcomer(Output[Options], type="newcomer"):
    """Takes all."""

    async def process(self, batch: EventBatch) -> None:
        del batch


@pytest.mark.parametrize("is_one", [False, True])
def test_two_distributions_that_claim_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_one: bool
) -> None:
    """It is an error that names both, not a matter of which is found first; one class by two ways is no conflict."""
    for name in ("alpha", "beta"):
        metadata = tmp_path / f"{name}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        target = "logpipe.builtin.out_routing:Null" if is_one or name == "alpha" else "nowhere:Null"
        (metadata / "entry_points.txt").write_text(f"[logpipe.output]\nnull = {target}\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()

    if is_one:
        assert registry.find("output", "null").__name__ == "Null"
    else:
        with pytest.raises(
            UnknownPluginError, match=r'output plugin "null" is claimed by alpha 1\.0 and beta 1\.0 and'
        ):
            registry.find("output", "null")
