"""What `<system>` says about the process, from the configuration's text to the effect."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from logpipe.supervisor import Settings, _set_umask
from logpipe.supervisor.loading import Loaded, set_up_log


def read(folder: Path, system: str, **given: object) -> tuple[Settings, Loaded]:
    conf = folder / "logpipe.conf"
    conf.write_text(f"<system>\n{system}\n<log>\npath {folder}/logs/log\ntime_format T\n</log>\n</system>\n")
    settings = Settings(conf, **given)  # type: ignore[arg-type]  # what a test gives
    return settings, Loaded.read(settings)


def said(folder: Path, system: str) -> list[str]:
    """Return what is written of repeated messages, failed emits and equal stack traces."""
    settings, loaded = read(folder, system)
    log = set_up_log(settings, loaded.system)
    for text in ("a", "a", "b", "a"):
        log.info(text)
    for number in range(2):
        log.warning("emit transaction failed: %d", number)
        try:
            int("x")
        except ValueError as error:
            log.exception("failed %d", number, exc_info=ValueError(number).with_traceback(error.__traceback__))
    lines = (folder / "logs" / "log").read_text().splitlines()
    return [line.strip().partition("]: ")[2] or line.strip() for line in lines if not line.startswith("   ")]


TRACE = "Traceback (most recent call last):"
FAILED = ["emit transaction failed: 0", "failed 0", TRACE, "ValueError: 0"]
AGAIN = ["emit transaction failed: 1", "failed 1", "suppressed same stacktrace: ValueError: 1"]


@pytest.mark.usefixtures("own_log")
@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("", ["a", "a", "b", "a", *FAILED, *AGAIN]),
        ("ignore_repeated_log_interval 60", ["a", "b", "a", *FAILED, *AGAIN]),
        ("ignore_same_log_interval 60", ["a", "b", *FAILED, *AGAIN]),
        ("emit_error_log_interval 60", ["a", "a", "b", "a", *FAILED, *AGAIN[1:]]),
        (
            "suppress_repeated_stacktrace false",
            ["a", "a", "b", "a", *FAILED, *AGAIN[:2], TRACE, "ValueError: 1"],
        ),
        ("log_level error", ["failed 0", TRACE, "ValueError: 0", *AGAIN[1:]]),
    ],
)
def test_what_the_log_leaves_out(tmp_path: Path, system: str, expected: list[str]) -> None:
    """Each setting by itself."""
    assert said(tmp_path, system) == expected


@pytest.mark.usefixtures("own_log")
def test_the_log_begins_a_new_file(tmp_path: Path) -> None:
    """By `rotate_size` and `rotate_age`: three files are kept, none much larger than a hundred bytes."""
    conf = tmp_path / "logpipe.conf"
    log_settings = f"path {tmp_path}/logs/log\nrotate_age 3\nrotate_size 100"
    conf.write_text(f"<system>\n<log>\n{log_settings}\n</log>\n</system>\n")
    settings = Settings(conf)
    log = set_up_log(settings, Loaded.read(settings).system)
    for number in range(20):
        log.info("message %d", number)
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {"log", "log.0", "log.1"}
    assert all(path.stat().st_size < 200 for path in (tmp_path / "logs").iterdir())


@pytest.mark.usefixtures("own_log")
def test_modes_of_the_log(tmp_path: Path) -> None:
    """`file_permission` and `dir_permission` hold for it, whatever the umask."""
    settings, loaded = read(tmp_path, "file_permission 0606\ndir_permission 0707")
    set_up_log(settings, loaded.system)
    modes = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "logs", tmp_path / "logs" / "log")}
    assert list(modes.values()) == [0o707, 0o606]


@pytest.mark.parametrize(
    ("system", "given", "expected"), [("umask 027", None, 0o027), ("umask 027", 0o077, 0o077), ("", None, 0o022)]
)
def test_umask(tmp_path: Path, system: str, given: int | None, expected: int) -> None:
    """That of the command line goes before; without any it stays as it is."""
    before = os.umask(0o022)
    try:
        settings, loaded = read(tmp_path, system, umask=given)
        _set_umask(settings, loaded.system)
        assert os.umask(0) == expected
    finally:
        os.umask(before)
