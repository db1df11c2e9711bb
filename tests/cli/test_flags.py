"""Fluentd's flags and its `<system>`: each does what it does there, or is refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe.cli import run
from logpipe.cli.arguments import Parser
from logpipe.config.element import Element
from logpipe.engine.running.graph import read_system
from logpipe.supervisor import Settings, check
from logpipe.supervisor.settings import _set
from tests.cli.program import EMPTY, SAMPLE, Running, logpipe


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--workers", "0"), "'0' is no number of workers"),
        (("--workers", "-1"), "'-1' is no number of workers"),
        (("--workers", "two"), "'two' is no number of workers"),
        (("--umask", "999"), "'999' is no umask"),
        (("--umask", "9z"), "'9z' is no umask"),
        (("--umask", "-1"), "'-1' is no umask"),
        (("--umask", "7777"), "'7777' is no umask"),
        (("--log-rotate-age", "foo"), "'foo' is no age"),
        (("--log-rotate-age", "-1"), "'-1' is no age"),
        (("--log-rotate-size", "0"), "'0' is no size"),
        (("--log-rotate-size", "big"), "big"),
        (("--emit-error-log-interval", "often"), "often"),
        (("--suppress-repeated-stacktrace", "maybe"), "invalid choice: 'maybe'"),
        (("--config-file-type", "toml"), "invalid choice: 'toml'"),
    ],
)
def test_a_flags_value_is_checked(conf: Path, flags: tuple[str, ...], said: str) -> None:
    """Status 2, one line, with the flag and what to give."""
    done = logpipe("-c", str(conf), "--dry-run", f"{flags[0]}={flags[1]}")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"argument {flags[0]}: " in done.stderr
    assert said in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<system>\nworkers 0\n</system>", "workers must be at least 1"),
        ("<system>\nfile_permission 999\n</system>", "'999' is no file mode"),
        ("<system>\ndir_permission rwx\n</system>", "'rwx' is no file mode"),
        ("<system>\numask 9z\n</system>", "'9z' is no umask"),
        ("<system>\n<log>\nrotate_age foo\n</log>\n</system>", "'foo' is no age"),
        (
            "<match a>\n@type stdout\n<buffer time>\ntimekey -1\n</buffer>\n</match>",
            "timekey must be a second at least",
        ),
        ("<match a>\n@type stdout\n<buffer ${tag}>\n</buffer>\n</match>", "${tag} is no name of a field: write tag"),
        ("<match a>\n@type stdout\n<buffer a b>\n</buffer>\n</match>", "is no name of a field"),
        (
            "<system>\nwith_source_only true\nwithout_source true\n</system>",
            "with_source_only and without_source leave nothing to run",
        ),
    ],
)
def test_a_setting_of_system_is_checked(conf: Path, text: str, said: str) -> None:
    """By `check`, with its place, and at the start."""
    conf.write_text(text + "\n" + EMPTY)
    for command in (("check",), ("-c",)):
        done = logpipe(*command, str(conf))
        assert done.returncode == 1
        assert said in done.stderr
        assert f"{conf}:" in done.stderr
        assert "Traceback" not in done.stderr


NO_EFFECT_YET = (
    "enable_jit true",
    "enable_msgpack_time_support true",
)
SECTIONS_WITHOUT_EFFECT = (
    "<counter_server>\nscope a\nbackup_path /nowhere\n</counter_server>",
    "<counter_client>\nhost localhost\n</counter_client>",
    '<metrics>\nlabels {"a":"b"}\n</metrics>',
)


def test_what_has_no_effect_yet_is_said(conf: Path) -> None:
    """With its place, by `check` and at the start."""
    settings = "\n".join(NO_EFFECT_YET)
    conf.write_text(f"<system>\n{settings}\n</system>\n{EMPTY}")
    done = logpipe("check", str(conf))
    assert done.returncode == 0
    with Running(conf.parent, "-c", str(conf)) as program:
        program.says("starting logpipe")
        for number, line in enumerate(settings.splitlines(), start=2):
            if not line.startswith("<"):
                for said in (done.stderr, program.said):
                    (warning,) = (each for each in said.splitlines() if f"{conf}:{number}:" in each)
                    assert line.split()[0] in warning
                    assert "no effect yet" in warning


@pytest.mark.parametrize(
    "default", ["enable_size_metrics false", "enable_input_metrics true", "with_source_only false"]
)
def test_nothing_is_said_of_a_default_that_is_written(conf: Path, default: str) -> None:
    conf.write_text(f"<system>\n{default}\n</system>\n{EMPTY}")
    assert logpipe("check", str(conf)).stderr == ""


@pytest.mark.parametrize("section", SECTIONS_WITHOUT_EFFECT)
def test_a_section_without_effect_is_said(conf: Path, section: str) -> None:
    """With each of its settings."""
    conf.write_text(f"<system>\n{section}\n</system>\n{EMPTY}")
    checked = check(Settings(conf))
    assert [each.code for each in checked.diagnostics] == ["no-effect-yet"] * (section.count("\n") - 1)


def test_a_dump_of_the_configuration_is_not_to_be_had(conf: Path) -> None:
    """Whoever asks for it is told where to find it."""
    conf.write_text(f"<system>\nsuppress_config_dump false\n</system>\n{EMPTY}")
    (found,) = check(Settings(conf)).diagnostics
    assert (found.severity, "`logpipe config`" in found.message) == ("warning", True)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), (True, None, None)),
        (("--disable-input-metrics",), (False, None, None)),
        (("--enable-size-metrics", "--disable-shared-socket"), (True, True, True)),
    ],
)
def test_flags_that_are_settings_of_system(flags: tuple[str, ...], expected: tuple[bool | None, ...]) -> None:
    """They go before what the configuration says."""
    given = Parser.parse(run.run_parser("logpipe"), flags)
    root = Element("ROOT")
    for flag, name, value in run._system(given):
        _set(root, flag, name, value)
    system = read_system(root, pytest.fail)
    assert (system.enable_input_metrics, system.enable_size_metrics, system.disable_shared_socket) == expected


@pytest.mark.parametrize(("word", "value"), [("", "true"), ("=yes", "true"), ("=no", "false"), ("=-", "false")])
def test_words_for_true_and_false(word: str, value: str) -> None:
    """Those of Ruby's optparse."""
    given = run.run_parser("logpipe").parse([f"--suppress-repeated-stacktrace{word}"])
    assert [(name, said) for _, name, said in run._system(given)] == [("suppress_repeated_stacktrace", value)]


@pytest.mark.parametrize("name", ["logpipe", "td-agent"])
def test_workers_are_told_which_configuration_was_found(conf: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """They run under another name, for which another file may be the first that is there."""
    ran: list[Settings] = []
    monkeypatch.setattr(run, "CONFIG_PATHS", (str(conf),))
    monkeypatch.delenv("FLUENT_CONF", raising=False)
    monkeypatch.setattr("logpipe.supervisor.run", lambda settings: ran.append(settings) or 0)
    assert run.main(name, ["-v"]) == 0
    assert (ran[0].config, ran[0].arguments) == (conf, ("-v", f"--config={conf}"))


@pytest.mark.parametrize("flag", [("--setup",), ("-s",)])
def test_setup_writes_a_configuration_that_runs(tmp_path: Path, flag: tuple[str, ...]) -> None:
    """With a folder for plugins, as fluentd's; what is there is left alone; nothing is started."""
    folder = tmp_path / "a" / "b"
    done = logpipe(*flag, str(folder))
    assert (done.returncode, done.stdout) == (0, f"Installed {folder}/fluent.conf.\n")
    assert (folder / "plugin").is_dir()
    checked = logpipe("check", "--strict", str(folder / "fluent.conf"))
    assert (checked.returncode, checked.stderr) == (0, "")
    (folder / "fluent.conf").write_text("mine")
    again = logpipe(*flag, str(folder))
    assert (again.returncode, again.stdout) == (0, f"{folder}/fluent.conf already exists.\n")
    assert (folder / "fluent.conf").read_text() == "mine"


def test_setup_where_nothing_can_be_written(tmp_path: Path) -> None:
    """One line, status 1."""
    (tmp_path / "file").write_text("")
    done = logpipe("--setup", str(tmp_path / "file"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"logpipe: --setup {tmp_path}/file: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_inline_configuration_from_standard_input(tmp_path: Path, conf: Path, workers: str) -> None:
    """`-i -`, for every worker."""
    text = SAMPLE.replace("tag demo", "tag inline").replace("match demo", "match inline")
    with Running(tmp_path, "-c", str(conf), "--workers", workers, "-i", "-", text=text) as program:
        program.says("inline: ")
        for worker in range(int(workers)) if workers != "1" else ():
            program.says(f"#{worker} starting logpipe")
        assert program.stop() == 0


def test_a_process_has_its_name(tmp_path: Path, conf: Path) -> None:
    """`process_name`, as fluentd's supervisor.rb writes it."""
    conf.write_text(f"<system>\nprocess_name shipper\nworkers 2\n</system>\n{EMPTY}")
    with Running(tmp_path, "-c", str(conf)) as program:
        for worker in range(2):
            program.says(f"#{worker} starting logpipe")
        children = map(
            int, Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children").read_text().split()
        )
        names = {title(pid) for pid in (program.process.pid, *children)}
        assert names == {"supervisor:shipper", "worker:shipper0", "worker:shipper1"}
        assert program.stop() == 0


def title(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        (["--conf", "a"], "config", "a"),  # of three, the one that 0.12 had
        (["--log-rotate-a=7"], "log_rotate_age", "7"),
        (["--lo", "a"], "log", "a"),  # all others begin with it
        (["--worker", "2"], "workers", "2"),
        (["--dae=a"], "daemon", "a"),
        (["--under", "3"], "under_supervisor", 3),
    ],
)
def test_an_abbreviated_flag(given: list[str], name: str, expected: object) -> None:
    """Is taken where it is clear which one is meant, as Ruby's optparse does."""
    assert getattr(run.run_parser("fluentd").parse(given), name) == expected


@pytest.mark.parametrize("flag", ["--use", "--with", "--log-rotate", "--conf-x"])
def test_an_unclear_flag(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is an error, as one that is none."""
    with pytest.raises(SystemExit) as ended:
        run.run_parser("fluentd").parse([flag])
    assert ended.value.code == 2
    assert flag in capsys.readouterr().err
