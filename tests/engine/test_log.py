"""The log's lines are ours: nothing that others have named breaks, forges or colours one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from logpipe.cli import main
from logpipe.durable import Files
from logpipe.engine.logging.file import LogFile
from logpipe.engine.logging.setup import set_up
from tests.e2e.program import Logpipe
from tests.services.waiting import wait_until

NASTY = [
    "newline\n2026-01-01 00:00:00 +0000 [error]: forged.log",
    "return\r2026-01-01 00:00:00 +0000 [error]: forged.log",
    "line\u2028separator.log",
    "next\u0085line.log",
    "turned\u202egol.log",
    "isolate\u2066x\u2069.log",
    "escape\x1b[2J\x1b[31m.log",
    "csi\u009b31m.log",
    "bytes\udcff.log",
]
UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \[(?:info|warn|error)\]: ")


def test_files_of_any_name_are_in_one_line_each(tmp_path: Path) -> None:
    """As tail says them, in the log of the real program."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for name in NASTY:
        (folder / name).write_text("no json\n")
    config = tmp_path / "logpipe.conf"
    config.write_text(
        f"<source>\n@type tail\npath {folder}/*\npos_file {tmp_path}/pos\ntag a\nread_from_head true\n"
        "<parse>\n@type json\n</parse>\n</source>\n<match **>\n@type null\n</match>\n"
    )
    with Logpipe(config, tmp_path / "said").start() as program:
        wait_until(
            lambda: program.said.count("pattern not matched") >= len(NASTY), seconds=60, what=lambda: program.said
        )
        assert program.stop() == 0
    text = (tmp_path / "said").read_bytes().decode()
    assert not UNWANTED.search(text)
    assert [line for line in text.split("\n") if line and not LINE.match(line)] == []
    assert text.count("forged") >= 2


@pytest.mark.usefixtures("own_log")
@pytest.mark.parametrize("shape", ["text", "json"])
@pytest.mark.parametrize("name", NASTY)
def test_only_a_traceback_has_lines(tmp_path: Path, shape: Literal["text", "json"], name: str) -> None:
    """And what its messages hold stays within theirs."""
    log = set_up(level="info", file=LogFile(tmp_path / "log", Files()), shape=shape)
    log.warning("a message about %s", name)
    try:
        _fail(name)
    except ExceptionGroup:
        log.exception("it failed")
    text = (tmp_path / "log").read_text()
    assert not UNWANTED.search(text)
    lines = text.splitlines()
    if shape == "text":
        assert sum(bool(LINE.match(line)) for line in lines) == 2
        assert all(line.startswith("  ") for line in lines[2:])
        assert "in test_only_a_traceback_has_lines" in text
    else:
        assert [json.loads(line)["level"] for line in lines] == ["warn", "error"]


def _fail(name: str) -> None:
    try:
        int(name)
    except ValueError as error:
        raise ExceptionGroup(name, [error, KeyError(name)]) from OSError(2, name, name)


@pytest.mark.parametrize("name", NASTY[:-1])
@pytest.mark.parametrize("arguments", [[], ["--format", "json"]])
def test_check_prints_no_name_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, arguments: list[str]
) -> None:
    """Neither a type nor a parameter, whoever has written the file."""
    escaped = "".join(char if char.isascii() and char.isprintable() else f"\\u{ord(char):04x}" for char in name)
    config = tmp_path / "a.conf"
    source = f'<source>\n@type sample\ntag "{escaped}"\nx "{name}"\n</source>\n'
    config.write_text(f'<match **>\n@type "{escaped}"\n</match>\n{source}')
    assert main(["check", *arguments, str(config)]) == 1
    said = capsys.readouterr()
    assert not UNWANTED.search(said.out + said.err)
    assert not any(line.startswith("2026") for line in (said.out + said.err).splitlines())


def test_the_command_line_prints_no_escapes(tmp_path: Path) -> None:
    """Whatever command prints it; what is data for a pipe is whole."""
    config = tmp_path / "a.conf"
    config.write_text('<match **>\n@type stdout\n@id "a\\u001b[2J\\u202e"\n</match>\n')
    for command in (["config"], ["explain"]):
        out = subprocess.run(
            [sys.executable, "-m", "logpipe", *command, str(config)], capture_output=True, check=False, text=True
        )
        assert not UNWANTED.search(out.stdout + out.stderr)
