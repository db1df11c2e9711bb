"""Flags about plugins: each is found, shown, and named where it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import EMPTY, OWN, SAMPLE, Running, logpipe


def test_a_plugins_settings_are_shown() -> None:
    """--show-plugin-config prints them and starts nothing."""
    done = logpipe("--show-plugin-config=input:tail")
    assert done.returncode == 0
    assert done.stdout.startswith("Show config for input:tail\n")
    assert "\npath: string: (required) # " in done.stdout
    assert "\n<parse>" in done.stdout
    unknown = logpipe("--show-plugin-config", "input:tial")
    assert unknown.returncode == 1
    assert 'did you mean "tail"?' in unknown.stderr
    assert logpipe("--show-plugin-config", "tail").returncode == 2


PLUGIN = '''
from logpipe import EventBatch, Filter, Options, param
from neighbour import NAME


class NamedOptions(Options):
    """Settings."""


class Named(Filter[NamedOptions], type="named"):
    """Adds a name."""

    def process(self, batch: EventBatch) -> EventBatch:
        for record in batch.records:
            record["name"] = NAME
        return batch
'''


def test_a_plugin_file_imports_its_neighbour(tmp_path: Path, conf: Path) -> None:
    """And modules from folders of -I, when it runs and in a dry run."""
    folder, library = tmp_path / "plugins", tmp_path / "library"
    folder.mkdir()
    library.mkdir()
    (folder / "named.py").write_text(PLUGIN)
    (folder / "neighbour.py").write_text("from elsewhere import NAME\n")
    (library / "elsewhere.py").write_text("NAME = 'somebody'\n")
    conf.write_text(SAMPLE.replace("<match demo", "<filter demo>\n@type named\n</filter>\n<match demo"))
    flags = ("-p", str(folder), "-I", str(library), "-r", "elsewhere")
    assert logpipe("-c", str(conf), "--dry-run", *flags).returncode == 0
    assert logpipe("check", str(conf), *flags).returncode == 0
    shown = logpipe("--show-plugin-config=filter:named", *flags)
    assert shown.stdout.startswith("Show config for filter:named\n"), shown.stderr
    missing = logpipe("-c", str(conf), "--dry-run", "-p", str(folder), "-r", "elsewhere")
    assert missing.returncode == 1
    assert "-r elsewhere: ModuleNotFoundError: No module named 'elsewhere'" in missing.stderr
    with Running(tmp_path, "-c", str(conf), *flags) as program:
        program.says('"name":"somebody"')


FAILING = '''
from logpipe import Filter, Options, param


class BadOptions(Options):
    """Settings."""

    how: str = param("Where it fails.", default="")

    def check(self):
        if self.how == "check":
            raise KeyError("no check")
        return iter(())


class Bad(Filter[BadOptions], type="bad"):
    """Fails."""

    def __init__(self, options, host):
        super().__init__(options, host)
        if options.how == "construct":
            1 / 0
        if options.how == "exit":
            raise SystemExit(3)

    async def start(self):
        if self.options.how == "start":
            raise TypeError("no start")

    def process(self, batch):
        return batch
'''


@pytest.mark.parametrize(
    ("how", "line", "said"),
    [
        ("check", 12, "KeyError: 'no check'"),
        ("construct", 22, "ZeroDivisionError: division by zero"),
        ("exit", 24, "SystemExit: 3"),
        ("start", 28, "TypeError: no start"),
    ],
)
def test_a_plugins_own_fault_is_named(tmp_path: Path, conf: Path, how: str, line: int, said: str) -> None:
    """Its section, its place, what it raised and where: no bare traceback."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "bad.py").write_text(FAILING)
    conf.write_text(f"{EMPTY}<filter a>\n  @type bad\n  how {how}\n</filter>\n{OWN}")
    done = logpipe("-c", str(conf), "-p", str(folder))
    assert done.returncode == 1
    text = done.stdout + done.stderr
    assert "<filter a> @type bad" in text
    assert f"{conf}:4:1" in text
    assert f"the plugin failed: {said} ({folder}/bad.py:{line})" in text
    assert ("Traceback" in text) == (how == "start")  # that of the plugin, after the line


def test_one_broken_plugin_ends_no_command(tmp_path: Path, conf: Path) -> None:
    """The others are listed and used, and the file is named with its line."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "a_broken.py").write_text("import sys\nsys.exit('gone')\n")
    (folder / "b_broken.py").write_text("x = (\n")
    (folder / "c_broken.py").write_text("\n\nundefined\n")
    (folder / "named.py").write_text(PLUGIN.replace("from neighbour import NAME", "NAME = 1"))
    listed = logpipe("plugins", "-p", str(folder))
    assert listed.returncode == 1
    assert f"{folder}/named.py" in listed.stdout
    assert "input" in listed.stdout
    for place in ("a_broken.py:2", "b_broken.py:1", "c_broken.py:3"):
        assert f"{folder}/{place}" in listed.stderr
    conf.write_text(f"{EMPTY}<filter a>\n  @type named\n</filter>\n")
    checked = logpipe("check", str(conf), "-p", str(folder))
    assert checked.returncode == 1
    assert checked.stderr.count("[unreadable-plugin]") == 3
    assert "unknown-plugin" not in checked.stderr
