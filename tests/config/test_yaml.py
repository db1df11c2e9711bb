"""YAML configurations give the elements that td-agent.conf gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from logpipe.config import yaml_nodes
from logpipe.config.diagnostic import Diagnostic
from logpipe.config.element import Element
from logpipe.config.parser import parse_file

Read = Callable[..., tuple[Element, list[str]]]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Write a text and other files, and read it as `f.yaml`."""
    monkeypatch.chdir(tmp_path)

    def write_and_read(text: str, **others: str) -> tuple[Element, list[str]]:
        (tmp_path / "f.yaml").write_text(text, encoding="utf-8")
        for name, content in others.items():
            (tmp_path / f"{name}.yaml").write_text(content, encoding="utf-8")
        said: list[Diagnostic] = []
        root = parse_file("f.yaml", report=said.append, env={"X": "x"}, hostname="node-1", worker_id="0")
        return root, [str(problem) for problem in said]

    return write_and_read


def shape(element: Element) -> Any:
    params = {name: param.value for name, param in element.params.items()}
    return element.name, element.arg, params, [shape(child) for child in element.elements]


def test_directives(read: Read) -> None:
    text = """
system:
  workers: 2
config:
  - source: {$type: sample, $id: s, $label: "@L", $log_level: warn, tag: a}
  - filter: {$type: grep, $tag: a.**}
  - worker: {$arg: 0-1, config: [source: {$type: sample}]}
  - label:
      $name: "@L"
      config:
        - match:
            $tag: "**"
            $type: copy
            store:
              - $type: stdout
              - {$type: file, buffer: {$arg: [time, tag], timekey: 1d}}
"""
    root, said = read(text)

    assert said == []
    buffer = ("buffer", "time,tag", {"timekey": "1d"}, [])
    stores = [("store", "", {"@type": "stdout"}, []), ("store", "", {"@type": "file"}, [buffer])]
    source = {"@type": "sample", "@label": "@L", "@id": "s", "@log_level": "warn", "tag": "a"}
    assert [shape(element) for element in root.elements] == [
        ("system", "", {"workers": "2"}, []),
        ("source", "", source, []),
        ("filter", "a.**", {"@type": "grep"}, []),
        ("worker", "0-1", {}, [("source", "", {"@type": "sample"}, [])]),
        ("label", "@L", {}, [("match", "**", {"@type": "copy"}, stores)]),
    ]


SCALARS: dict[str, tuple[str, Any]] = {
    "numbers are what they mean": ("0x1F", "31"),
    "octal numbers too": ("0644", "420"),
    "floats lose trailing zeros": ("3.40", "3.4"),
    "on is true": ("On", "true"),
    "no is false": ("no", "false"),
    "null is nil": ("null", None),
    "nothing is nil": ("", None),
    "a symbol loses its colon": (":warn", "warn"),
    "quotes keep text": ("'on'", "on"),
    "dates are text": ("2026-01-01", "2026-01-01"),
    "a list is JSON": ("[a, 1, é]", '["a", 1, "é"]'),
    "plain code is text": ('"#{hostname}"', "#{hostname}"),
    "!fluent/s runs code": ("!fluent/s \"#{ENV['X']}/#{hostname}/#{worker_id}\"", "x/node-1/0"),
    "!fluent/s knows no nil": ('!fluent/s "#{use_nil}"', ""),
    "!fluent/json has the type that its value would have": ("!fluent/json 5", "5"),
    "!fluent/json does not mind quotes": ("!fluent/json '5.10'", "5.1"),
    "!fluent/json of text has quotes": ("!fluent/json abc", '"abc"'),
    "!fluent/json is JSON": ("!fluent/json {a: [1, !fluent/s '#{hostname}']}", '{"a":[1,"node-1"]}'),
}


@pytest.mark.parametrize(("written", "value"), SCALARS.values(), ids=SCALARS)
def test_values(read: Read, written: str, value: Any) -> None:
    root, said = read(f"config:\n- source:\n    k: {written}\n")

    assert said == []
    assert root.elements[0].params["k"].value == value


def test_names_stay_as_written(read: Read) -> None:
    root, _ = read("config:\n- source: {on: 1, 007: 2}\n")

    assert list(root.elements[0].params) == ["on", "007"]


def test_places(read: Read) -> None:
    """Sections, parameters and values know where they stand."""
    root, _ = read("config:\n  - match:\n      $tag: a\n      path: x\n")

    (match,) = root.elements
    param = match.params["path"]
    assert [str(place) for place in (match.position, match.arg_position, param.position, param.value_position)] == [
        "f.yaml:2:5",
        "f.yaml:3:13",
        "f.yaml:4:7",
        "f.yaml:4:13",
    ]


def test_merge_keys(read: Read) -> None:
    text = "common: &c {a: 1, b: 2}\nconfig:\n- source:\n    a: 0\n    <<: *c\n    b: 3\n"

    root, said = read(text)

    assert (shape(root.elements[0])[2], said) == ({"a": "1", "b": "3"}, [])


def test_includes(read: Read) -> None:
    """An included list is spliced in, an included mapping merged, and elements know how they came in."""
    text = "config:\n- !include list.yaml\n- source:\n    <<: !include map.yaml\n"

    root, said = read(text, list="- match: {$tag: a}\n- match: {$tag: b}\n", map="k: v\n")

    assert said == []
    assert [(element.name, element.arg) for element in root.elements] == [
        ("match", "a"),
        ("match", "b"),
        ("source", ""),
    ]
    assert root.elements[2].get("k") == "v"
    assert str(root.elements[0].position) == "list.yaml:1:3"
    assert [str(place) for place in root.elements[0].included_from] == ["f.yaml:2:3"]


def test_an_empty_directive_is_skipped(read: Read) -> None:
    root, said = read("config:\n- source:\n- match: {$tag: a}\n")

    assert ([element.name for element in root.elements], said) == (["match"], [])


SAID: dict[str, tuple[str, list[str]]] = {
    "broken YAML": (
        "config:\n- source: {a: 1\n",
        [
            "f.yaml:3:1: error: this is not YAML: while parsing a flow mapping: did not find expected ',' or '}'"
            " (look for a wrong indentation, a tab, or a text with : or # that needs quotes) [bad-yaml]"
        ],
    ),
    "an unknown alias": (
        "config:\n- source: *x\n",
        [
            "f.yaml:2:11: error: the alias *x has no anchor &x before it (write &x before what it repeats) [bad-yaml]",
        ],
    ),
    "an alias in itself": (
        "config: &x\n- *x\n",
        ["f.yaml:2:3: error: the alias *x has no anchor &x before it (write &x before what it repeats) [bad-yaml]"],
    ),
    "an unknown section": (
        "config:\n- sauce: {$type: sample}\n",
        ['f.yaml:2:3: error: "sauce" is no section (did you mean source?) [bad-yaml]'],
    ),
    "a mapping of sections": (
        "config:\n  source: {$type: sample}\n",
        ["f.yaml:1:1: error: config must be a list (begin each section with a dash: - source:) [bad-yaml]"],
    ),
    "a misspelt key": (
        "confg: []\n",
        ['f.yaml:1:1: warning: "confg" is not used (did you mean config?) [unknown-section]'],
    ),
    "a list of tags": (
        "config:\n- match: {$tag: [a.*, b.*]}\n",
        ['f.yaml:2:17: warning: the list of tags becomes the one tag a.*,b.* (write $tag: "a.* b.*") [tag-list]'],
    ),
    "use_default": (
        'config:\n- source: {k: !fluent/s "#{use_default}"}\n',
        [
            "f.yaml:2:15: warning: use_default does not work in YAML: the value is the text :default"
            " (leave the key out to get its default) [no-default]"
        ],
    ),
    "a tag of Ruby's": (
        "config:\n- source: {k: !ruby/object:Object {}}\n",
        [
            "f.yaml:2:15: error: the YAML tag !ruby/object:Object is not known here"
            " (tags are !include FILE, !fluent/s TEXT and !fluent/json VALUE) [bad-yaml]"
        ],
    ),
    "a label without config": (
        'config:\n- label: {$name: "@L"}\n',
        ["f.yaml:2:3: error: label has no config (write label: with $name: and config: under it) [bad-yaml]"],
    ),
    "an empty file": ("", ["f.yaml: error: the file is empty (a configuration begins with config:) [bad-yaml]"]),
    "an include of itself": (
        "config:\n- !include f.yaml\n",
        [
            "f.yaml:2:3: error: the include goes round in a circle: f.yaml → f.yaml"
            " (remove one of these includes) [include-cycle]"
        ],
    ),
}


@pytest.mark.parametrize(("text", "said"), SAID.values(), ids=SAID)
def test_mistakes(read: Read, text: str, said: list[str]) -> None:
    assert read(text)[1] == said


@pytest.mark.parametrize("depth", [101, 1_001, 100_000])
@pytest.mark.parametrize("text", ["[", "- ", "{a: ", "[\n", "? ", "config:\n  - ["])
@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_nesting_is_limited(read: Read, monkeypatch: pytest.MonkeyPatch, text: str, depth: int, loader: str) -> None:
    """Depth costs a message, not the process, and the same one whether PyYAML has a limit of its own or none."""
    if loader == "SafeLoader":  # it has none
        monkeypatch.setattr(yaml_nodes, "_LOADER", yaml.SafeLoader)
    text = text.removesuffix("[") + "[" * depth if text.endswith(" [") else text * depth
    (problem,) = read(text)[1]

    assert problem.endswith("error: the YAML nests deeper than 100 levels (flatten it) [too-deep]")


def test_aliases_are_limited(read: Read) -> None:
    """A few lines of aliases cannot grow into billions of values."""
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]

    (problem,) = read("\n".join(lines))[1]

    assert problem.endswith("aliases make more than 200000 values of this file (use fewer aliases) [too-large]")


def test_merge_keys_are_limited(read: Read) -> None:
    """Merging a large mapping into many others is as bad as aliases in aliases."""
    large = "".join(f"  k{number}: 1\n" for number in range(2_000))
    text = f"common: &c\n{large}config:\n" + "- source: {<<: *c}\n" * 2_000

    (problem,) = read(text)[1]

    assert problem.endswith("merge keys make more than 200000 values of this file (merge less) [too-large]")
