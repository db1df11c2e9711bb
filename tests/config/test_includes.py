"""`@include`: which files it means, what they bring in, and what is said when it goes wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logpipe.config.diagnostic import Diagnostic
from logpipe.config.element import Element
from logpipe.config.parser import parse_file

Read = Callable[..., tuple[Element, list[Diagnostic]]]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Write files, by name, and read `main.conf`."""
    monkeypatch.chdir(tmp_path)

    def write_and_read(texts: dict[str, str], **settings: Any) -> tuple[Element, list[Diagnostic]]:
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        said: list[Diagnostic] = []
        return parse_file("main.conf", report=said.append, env={"DIR": "d"}, **settings), said

    return write_and_read


def params(element: Element) -> dict[str, Any]:
    return {name: param.value for name, param in element.params.items()}


def test_paths_are_relative_to_the_file_that_includes(read: Read) -> None:
    root, said = read({"main.conf": "@include d/a.conf", "d/a.conf": "@include ../b.conf\na 1", "b.conf": "b 2"})

    assert params(root) == {"b": "2", "a": "1"}
    assert said == []


@pytest.mark.parametrize("pattern", ["d/*.conf", "d/[ab].conf", "d/?.conf", "**/*.conf", "d/{b,a}.conf", "d/[^c].conf"])
def test_patterns_give_sorted_files(read: Read, pattern: str) -> None:
    root, said = read(
        {"main.txt": "", "main.conf": f"<x>\n@include {pattern}\n</x>", "d/b.conf": "k b", "d/a.conf": "k a\nl a"}
    )

    (section,) = root.elements
    assert params(section) == {"k": "b", "l": "a"}
    assert [problem for problem in said if problem.code != "include-cycle"] == []


@pytest.mark.parametrize(
    "written",
    [
        "conf.d/\"#{ENV['DIR']}\".conf",
        "conf.d/#{ENV['DIR']}.conf",
        "conf.d/${DIR}.conf",
        "'conf.d/#{ENV[\"DIR\"]}.conf'",
        '"conf.d/${DIR}.conf"',
        "https://host/#{ENV['DIR']}.conf",
    ],
)
def test_code_that_is_not_run_is_an_error(read: Read, written: str) -> None:
    """Nothing would be included, and nothing said."""
    _, said = read({"main.conf": f"k 1\n@include {written}", "conf.d/d.conf": "k 2"})

    (problem,) = said
    assert (problem.severity, problem.code, problem.position.line) == ("error", "bad-include", 2)
    assert "is not read as code here" in problem.message
    assert "only where the whole value is in double quotes" in problem.hint


def test_code_in_a_path_in_double_quotes_is_run(read: Read) -> None:
    root, said = read({"main.conf": "@include \"conf.d/#{ENV['DIR']}.conf\"", "conf.d/d.conf": "k 2"})

    assert (params(root), said) == ({"k": "2"}, [])


def test_a_section_takes_in_parameters_and_sections_in_place(read: Read) -> None:
    """What is included counts as written there, in order."""
    files = {"main.conf": "<match **>\nk 1\n@include in.conf\nm 3\n</match>", "in.conf": "k 2\n<buffer>\n</buffer>"}

    (match,) = read(files)[0].elements

    assert params(match) == {"k": "2", "m": "3"}
    assert [section.name for section in match.elements] == ["buffer"]


def test_elements_know_how_they_came_in(read: Read) -> None:
    files = {"main.conf": "\n@include d/a.conf", "d/a.conf": "@include b.conf", "d/b.conf": "<source>\n</source>"}

    (source,) = read(files)[0].elements

    assert str(source.position) == "d/b.conf:1:1"
    assert [str(place) for place in source.included_from] == ["main.conf:2:1", "d/a.conf:1:1"]


@pytest.mark.parametrize(
    "line",
    ["@include 'a b.conf'", "@include a b.conf # c", "@include a%20b.conf", "@include a+b.conf", 'include "a b.conf"'],
)
def test_blanks_in_paths(read: Read, line: str) -> None:
    assert params(read({"main.conf": line, "a b.conf": "k v"})[0]) == {"k": "v"}


def test_code_in_paths(read: Read) -> None:
    assert params(read({"main.conf": "@include \"#{ENV['DIR']}/x.conf\"", "d/x.conf": "k v"})[0]) == {"k": "v"}


def test_file_urls(read: Read, tmp_path: Path) -> None:
    assert params(read({"main.conf": f"@include file://{tmp_path}/x.conf", "x.conf": "k v"})[0]) == {"k": "v"}


def test_include_inside_a_section_is_a_parameter(read: Read) -> None:
    """Only `@include` works there; at the root the old spelling does, with a warning."""
    root, said = read({"main.conf": "include x.conf\n<a>\ninclude y\n</a>", "x.conf": "k v"})

    assert params(root) == {"k": "v"}
    assert params(root.elements[0]) == {"include": "y"}
    assert [problem.code for problem in said] == ["deprecated-include"]


def test_dialect_v0(read: Read) -> None:
    files = {"main.conf": "include x.conf\n<a>\n<include y.conf />\n</a>", "x.conf": "k v", "y.conf": "l w"}

    root, said = read(files, dialect="v0")

    assert (params(root), params(root.elements[0]), said) == ({"k": "v"}, {"l": "w"}, [])


def test_inline_text_comes_after_the_file(read: Read) -> None:
    root, said = read({"main.conf": "k 1\nl 1", "x.conf": "m 3"}, inline="k 2\n@include x.conf\n\n<a")

    assert params(root) == {"k": "2", "l": "1", "m": "3"}
    assert [str(problem.position) for problem in said] == ["<inline>:4:1", "<inline>:4:1"]


def test_every_file_read_is_told(read: Read, tmp_path: Path) -> None:
    files: list[str] = []

    read({"main.conf": "@include a.conf\n@include missing.conf", "a.conf": ""}, files=files)

    assert files == [str(tmp_path / "main.conf"), str(tmp_path / "a.conf")]


def test_a_directory_is_read_last(read: Read) -> None:
    """Its sections follow, its parameters replace none, and a file that was included is not read again."""
    files = {
        "main.conf": "@include conf.d/b.conf\n<match x>\n</match>\nk 1",
        "conf.d/a.conf": "<match a>\n</match>\nk 2\nl 2",
        "conf.d/b.conf": "<match b>\n</match>",
        "conf.d/deep/c.yaml": "config:\n- match: {$tag: c}",
        "conf.d/d.txt": "<match d>\n</match>",
    }

    root, said = read(files, include_dir="conf.d")

    assert ([match.arg for match in root.elements], params(root), said) == (
        ["b", "x", "a", "c"],
        {"k": "1", "l": "2"},
        [],
    )


@pytest.mark.parametrize(("system", "sections"), [("e.d", 2), ("", 1), ("missing", 1)])
def test_the_system_section_names_the_directory(read: Read, system: str, sections: int) -> None:
    files = {"main.conf": f"<system>\nconfig_include_dir '{system}'\n</system>", "e.d/a.conf": "<source>\n</source>"}

    root, said = read({**files, "conf.d/x.conf": "<a"}, include_dir="conf.d")

    assert (len(root.elements), said) == (sections, [])


def test_a_pipe_is_not_waited_for(read: Read, tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    os.mkfifo(tmp_path / "conf.d" / "pipe")

    (problem,) = read({"main.conf": "@include conf.d/*"})[1]

    assert str(problem) == (
        "main.conf:1:1: error: cannot include conf.d/pipe: it is no file but a pipe, a socket or a device"
        " (name files, such as *.conf) [unreadable-file]"
    )


def test_urls_need_permission(read: Read) -> None:
    files = {"main.conf": "@include https://conf.example/a.conf"}

    refused = read(files)[1]
    root, said = read(files, fetch=lambda url: f"k {url}".encode())

    assert [str(problem) for problem in refused] == [
        "main.conf:1:1: error: cannot include https://conf.example/a.conf: configuration is not read from other"
        " machines (download the file and include it from disk, or start with --allow-http-include) [remote-include]"
    ]
    assert (params(root), said) == ({"k": "https://conf.example/a.conf"}, [])


def test_a_url_without_encryption(read: Read) -> None:
    root, said = read({"main.conf": "@include http://conf.example/a.conf"}, fetch=lambda _url: b"k v")

    assert params(root) == {"k": "v"}
    assert [str(problem) for problem in said] == [
        "main.conf:1:1: warning: the configuration at http://conf.example/a.conf comes unencrypted: anybody on the"
        " network path can change it (use https) [insecure-include]"
    ]


def test_a_url_that_does_not_answer(read: Read) -> None:
    def fetch(_url: str) -> bytes:
        raise ConnectionRefusedError("connection refused")

    (problem,) = read({"main.conf": "@include https://conf.example/a.conf"}, fetch=fetch)[1]

    assert str(problem) == (
        "main.conf:1:1: error: cannot include https://conf.example/a.conf: connection refused"
        " (check that the address answers) [unreadable-file]"
    )


def test_a_circle_is_named(read: Read) -> None:
    (problem,) = read({"main.conf": "@include a.conf", "a.conf": "@include b.conf", "b.conf": "\n@include a.conf"})[1]

    assert str(problem) == (
        "b.conf:2:1: error: the include goes round in a circle: main.conf → a.conf → b.conf → a.conf"
        " (remove one of these includes) [include-cycle]"
    )
    assert [str(place) for place in problem.included_from] == ["main.conf:1:1", "a.conf:1:1"]


def test_includes_that_multiply_end(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that include several others are stopped before they fill the machine, and it is said once."""
    monkeypatch.setattr("logpipe.config.includes.MAX_FILES", 100)
    files = {f"{number}.conf": f"@include {number + 1}.conf\n" * 4 for number in range(40)}

    said = read({"main.conf": "@include 0.conf", **files})[1]

    assert [problem.code for problem in said] == ["too-many-includes"]


def test_a_backup_that_a_pattern_takes_in_is_said(read: Read) -> None:
    (problem,) = read({"main.conf": "@include d/*.conf", "d/a.bak.conf": "k v"})[1]

    assert str(problem) == (
        "main.conf:1:1: warning: the include of d/*.conf takes in a.bak.conf, which looks like a backup copy"
        " (rename or move the copy) [backup-included]"
    )


def test_what_cannot_be_read(read: Read, tmp_path: Path) -> None:
    (tmp_path / "latin.conf").write_bytes(b"k v\nna\xefve 1\n")
    (tmp_path / "d").mkdir()

    said = read({"main.conf": "@include latin.conf\n@include d\n@include gone.conf\n@include"})[1]

    assert [str(problem) for problem in said] == [
        "latin.conf:2:3: error: the byte 0xef is not utf-8"
        " (save the file as UTF-8, or name its encoding with --conf-encoding) [unreadable-file]",
        "main.conf:2:1: error: cannot include d: this is a directory, not a file"
        " (name a file, or use a pattern such as conf.d/*.conf) [unreadable-file]",
        "main.conf:3:1: warning: there is no file gone.conf to include"
        " (the path is relative to the file that includes; fluentd ignores this silently) [include-not-found]",
        "main.conf:4:1: error: @include without a path (write @include conf.d/*.conf) [missing-path]",
    ]
    assert [str(place) for place in said[0].included_from] == ["main.conf:1:1"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.conf", "gone.conf: error: no such file (check the path) [unreadable-file]"),
        (
            "fluent.rb",
            "fluent.rb: error: configuration written in Ruby is not supported"
            " (write it as td-agent.conf or YAML; fluentd deprecated this format too) [ruby-dsl]",
        ),
    ],
)
def test_a_main_file_that_cannot_be_read(name: str, message: str) -> None:
    said: list[Diagnostic] = []

    root = parse_file(name, report=said.append)

    assert (root.params, root.elements) == ({}, [])
    assert [str(problem) for problem in said] == [message]


def test_other_encodings(tmp_path: Path) -> None:
    file = tmp_path / "f.conf"
    file.write_bytes("k é".encode("latin-1"))
    said: list[Diagnostic] = []

    root = parse_file(file, report=said.append, encoding="iso-8859-1")

    assert (params(root), said) == ({"k": "é"}, [])
