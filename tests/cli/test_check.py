"""`logpipe check` and `logpipe config` as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from logpipe.cli import main

OWN_LOG = "<label @FLUENT_LOG>\n  <match **>\n    @type null\n  </match>\n</label>\n"
CLEAN = f"<match app>\n  @type null\n</match>\n{OWN_LOG}"
WARNED = f"<match app>\n  @type null\n  what x\n</match>\n{OWN_LOG}"
BROKEN = f"<match app>\n  @type nul\n</match>\n{OWN_LOG}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files are, so that messages name them as they were typed."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"clean": CLEAN, "warned": WARNED, "broken": BROKEN}.items():
        (tmp_path / f"{name}.conf").write_text(text)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "status", "out"),
    [
        (["clean.conf"], 0, "clean.conf: ok, 0 errors, 0 warnings\n"),
        (["warned.conf"], 0, "warned.conf: ok, 0 errors, 1 warning\n"),
        (["--strict", "warned.conf"], 2, "warned.conf: ok, 0 errors, 1 warning\n"),
        (["broken.conf"], 1, "broken.conf: not usable, 1 error, 0 warnings\n"),
        (
            ["--strict", "broken.conf", "warned.conf"],
            1,
            "broken.conf: not usable, 1 error, 0 warnings\nwarned.conf: ok, 0 errors, 1 warning\n",
        ),
        (["none.conf"], 1, "none.conf: not usable, 1 error, 0 warnings\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_verdicts(arguments: list[str], status: int, out: str, capsys: pytest.CaptureFixture[str]) -> None:
    """0 clean, 1 errors, 2 warnings under --strict; one line of verdict a file."""
    assert main(["check", *arguments]) == status
    assert capsys.readouterr().out == out


@pytest.mark.usefixtures("folder")
def test_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """The message, its line and a caret under the place, on standard error."""
    main(["check", "broken.conf"])

    assert capsys.readouterr().err == (
        'broken.conf:2:9: error: <match app>: unknown output plugin "nul" (did you mean "null"?) [unknown-plugin]\n'
        "  2 |   @type nul\n"
        "    |         ^\n"
    )


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, with what an editor needs; nothing else is printed."""
    (folder / "main.conf").write_text("\n@include broken.conf\n")

    assert main(["check", "--format", "json", "main.conf"]) == 1
    printed = capsys.readouterr()
    assert printed.err == ""
    assert json.loads(printed.out) == {
        "file": "broken.conf",
        "line": 2,
        "column": 9,
        "severity": "error",
        "code": "unknown-plugin",
        "message": '<match app>: unknown output plugin "nul"',
        "hint": 'did you mean "null"?',
        "included_from": ["main.conf:2:1"],
    }


def test_in_the_order_of_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever finds them, one reads from top to bottom."""
    text = "<match a>\n  @type nul\n</match>\n<match a>\n  what x\n</match>\n<source>\n  @type sampel\n</source>\n"
    (folder / "main.conf").write_text(text)
    main(["check", "main.conf"])

    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("main.conf:")]
    assert [line.split(":")[1] for line in lines] == ["2", "4", "4", "8"]


def test_every_worker_is_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also those that this process would not be."""
    text = f"<system>\n  workers 3\n</system>\n<worker 1-2>\n{BROKEN}</worker>\n"
    (folder / "main.conf").write_text(text)

    assert main(["check", "main.conf"]) == 1
    assert capsys.readouterr().err.count("unknown output plugin") == 1


def test_an_include_of_an_address(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is read if the flag allows it; the error names the flag."""
    (folder / "main.conf").write_text("@include https://127.0.0.1:1/a.conf\n")

    assert main(["check", "main.conf"]) == 1
    assert "or start with --allow-http-include" in capsys.readouterr().err
    assert main(["check", "--allow-http-include", "main.conf"]) == 1
    assert "cannot include https://127.0.0.1:1/a.conf: [Errno 111] Connection refused" in capsys.readouterr().err


def test_a_folder_of_plugins_that_do_not_import(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is an error of its own, for check and for config."""
    (folder / "plugins").mkdir()
    (folder / "plugins" / "filter_x.py").write_text("import nonsense_that_is_not_there\n")

    for command in ("check", "config"):
        assert main([command, "-p", "plugins", "clean.conf"]) == 1
        err = capsys.readouterr().err
        assert "clean.conf: error: plugin file plugins/filter_x.py cannot be imported" in err
        assert "[unreadable-plugin]" in err


@pytest.mark.parametrize(
    "line", ["log_level loud", "workers 0", "<log>\n  format xml\n</log>", "shutdown_timeout 1\n</system>\n<system>"]
)
def test_a_system_that_is_wrong(folder: Path, line: str) -> None:
    """It keeps logpipe from starting, with its place, as everything else that is wrong."""
    (folder / "main.conf").write_text(f"<system>\n{line}\n</system>\n{CLEAN}")
    command = [sys.executable, "-m", "logpipe", "-c", "main.conf"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert result.stderr.startswith("main.conf:")
    assert "Traceback" not in result.stderr


def test_a_hint_is_for_who_asks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What nearly every file does is no warning, under --strict either."""
    config = tmp_path / "a.conf"
    config.write_text("<source>\n  @type sample\n  tag a\n</source>\n<match **>\n  @type null\n</match>\n")
    assert main(["check", "--strict", str(config)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "0 warnings" in said.out
    assert main(["check", "--strict", "--verbose", str(config)]) == 0
    assert "hint: <match **> @type null: it takes logpipe's own log events" in capsys.readouterr().err
