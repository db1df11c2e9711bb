"""A printed tree loads to the same tree."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from logpipe.config.diagnostic import Diagnostic
from logpipe.config.element import USE_DEFAULT, Element, Param
from logpipe.config.parser import parse_text
from logpipe.config.printer import print_tree


def shape(element: Element) -> Any:
    params = {name: param.value for name, param in element.params.items()}
    return element.name, element.arg, params, [shape(child) for child in element.elements]


def reload(root: Element) -> Element:
    said: list[Diagnostic] = []
    again = parse_text(print_tree(root), "printed.conf", report=said.append, env={}, follow_includes=False)
    assert [problem for problem in said if problem.severity == "error"] == []
    return again


def test_text(load: Any) -> None:
    text = (
        "k v\n"
        "flag\n"
        "<match a.** b>\n"
        "  @type file\n"
        "  pattern '/a #b/'\n"
        '  lines "a\\nb"\n'
        '  labels {"a":1}\n'
        '  nothing "#{use_nil}"\n'
        "  <buffer>\n"
        "  </buffer>\n"
        "</match>\n"
    )

    assert print_tree(load(text).root) == text


def test_secrets_are_masked(load: Any) -> None:
    def is_secret(element: Element, param: Param) -> bool:
        return (element.name, param.name) == ("a", "password")

    root = load("password x\n<a>\npassword y\n</a>").root

    assert print_tree(root, is_secret=is_secret) == "password x\n<a>\n  password xxxxxx\n</a>\n"


def test_includes_that_were_not_followed(load: Any) -> None:
    text = "@include a b.conf\n<a>\n  @include 'x #y.conf'\n</a>\n"

    assert print_tree(load(text, follow_includes=False).root) == text


values = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text("ab \t\n\r\"'\\#{}[]<>,:“"),
    st.sampled_from([None, USE_DEFAULT, '{"a":"#{1}"}', '{"a": 1}', '["a",1.5]', "#{x}", "a\\", "\\'", "@include"]),
)
names = st.text("ab@<>#\"' \t\n$.{}", min_size=1).map(lambda name: name.lstrip("@") or "a")
arguments = st.text(st.characters(exclude_categories=["Cs"])) | st.text("a >#\"'\n\t<\r")


@st.composite
def elements(draw: st.DrawFn, name: str, depth: int = 2) -> Element:
    element = Element(name, draw(arguments) if name != "ROOT" else "")
    for key, value in draw(st.dictionaries(names, values, max_size=4)).items():
        element.set(key, value)
    if depth:
        sections = st.lists(st.text("abZ_0", min_size=1), max_size=2)
        element.elements = [draw(elements(inner, depth - 1)) for inner in draw(sections)]
    return element


@given(elements("ROOT"))
def test_every_tree_comes_back(root: Element) -> None:
    assert shape(reload(root)) == shape(root)


def test_a_parameter_called_include() -> None:
    root = Element("ROOT")
    root.set("include", "x")

    assert shape(reload(root)) == shape(root)
