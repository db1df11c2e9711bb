"""The programs that come with fluentd: their names, as links, and what each does."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

import pytest

from logpipe.cli import COMPANIONS, main
from logpipe.cli.companions import LINKS
from logpipe.cli.companions.ctl import SIGNALS
from logpipe.cli.companions.generate import KINDS
from tests.cli.chunk_files import Done

Program: TypeAlias = Callable[..., Done]


@pytest.fixture
def program(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    """Run a program by its name."""

    def run(name: str, *arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", [f"/somewhere/{name}"])
        capfd.readouterr()
        try:
            status = main([*map(str, arguments)])
        except SystemExit as ended:
            status = int(ended.code or 0)
        return Done(status, *capfd.readouterr())

    return run


def test_links_are_made_listed_and_removed(program: Program, tmp_path: Path) -> None:
    """To logpipe itself; a second time changes nothing."""
    done = program("logpipe", "companions", "install", tmp_path)
    assert done.status == 0, done.err
    assert {path.name for path in tmp_path.iterdir()} == set(LINKS)
    assert {path.resolve().name for path in tmp_path.iterdir()} == {"logpipe"}
    assert program("logpipe", "companions", "install", tmp_path).out == done.out
    assert program("logpipe", "companions", "list", tmp_path).out == done.out
    assert program("logpipe", "companions", "remove", tmp_path, "fluentd").out == f"{tmp_path}/fluentd removed\n"
    assert not (tmp_path / "fluentd").exists()
    program("logpipe", "companions", "remove", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_ours_stays(program: Program, tmp_path: Path) -> None:
    """A real Fluentd is never replaced, nor removed; the other links are made."""
    (tmp_path / "fluentd").write_text("Fluentd's own")
    (tmp_path / "fluent-cat").symlink_to("nowhere")
    for action in ("install", "remove"):
        done = program("logpipe", "companions", action, tmp_path)
        assert (tmp_path / "fluentd").read_text() == "Fluentd's own"
        assert (tmp_path / "fluent-cat").is_symlink()
        assert done.status == (1 if action == "install" else 0)
        assert done.err.count("is not logpipe's") == (2 if action == "install" else 0)
        assert (tmp_path / "fluent-ctl").exists() == (action == "install")


def test_links_of_a_folder_that_is_not_there(program: Program, tmp_path: Path) -> None:
    """One line."""
    done = program("logpipe", "companions", "install", tmp_path / "no")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert program("logpipe", "companions", "install", tmp_path, "fluent-dog").status == 2


def test_a_link_is_the_program_of_its_name(program: Program, tmp_path: Path) -> None:
    """As a shell starts it."""
    program("logpipe", "companions", "install", tmp_path, "fluent-ctl")
    done = subprocess.run([tmp_path / "fluent-ctl", "flush", "0"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "fluent-ctl: '0' is no process id, and no file that has one\n")


@pytest.mark.parametrize("name", COMPANIONS)
def test_versions(program: Program, name: str) -> None:
    """Each says whose it is."""
    assert program(name, "--version").out.startswith(f"{name} (logpipe ")


@pytest.mark.parametrize("name", [name for name, module in COMPANIONS.items() if module != "refused"])
def test_each_is_a_command_too(program: Program, name: str) -> None:
    """`logpipe cat` is `fluent-cat`."""
    own, command = program(name, "--help"), program("logpipe", COMPANIONS[name], "--help")
    assert own.status == command.status == 0
    first = f"usage: {name} ", f"usage: logpipe {COMPANIONS[name]} "
    assert (own.out.startswith(first[0]), command.out.startswith(first[1])) == (True, True)


@pytest.mark.parametrize(("name", "said"), [("fluent-debug", "SIGCONT"), ("fluent-cap-ctl", "AmbientCapabilities")])
def test_what_has_no_meaning_here_is_refused(program: Program, name: str, said: str) -> None:
    """With what there is instead."""
    done = program(name, "--add", "x")
    assert (done.status, done.out) == (2, "")
    assert said in done.err


def test_td_agent_has_its_own_paths(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its script sets them; what is set already stays."""
    monkeypatch.setattr("logpipe.signals.hold", lambda **_: None)
    monkeypatch.setattr("gc.disable", lambda: None)
    monkeypatch.setenv("FLUENT_PLUGIN", "/mine")
    monkeypatch.delenv("FLUENT_SOCKET", raising=False)
    assert program("td-agent", "--help").status == 0
    assert (os.environ["FLUENT_PLUGIN"], os.environ["FLUENT_SOCKET"]) == ("/mine", "/var/run/td-agent/td-agent.sock")
    monkeypatch.delenv("FLUENT_SOCKET")


@pytest.mark.parametrize("command", SIGNALS)
def test_ctl_signals(program: Program, tmp_path: Path, command: str) -> None:
    """By process id, or by the file of -d."""
    received = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    before = signal.signal(SIGNALS[command], note)
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    try:
        assert program("fluent-ctl", command, os.getpid()).status == 0
        assert program("fluent-ctl", command, tmp_path / "pid").status == 0
    finally:
        signal.signal(SIGNALS[command], before)
    assert received == [SIGNALS[command]] * 2


@pytest.mark.parametrize("pid", ["0", "-1", "x", "99999999999999999999", "²", ""])
def test_ctl_signals_nobody_else(program: Program, pid: str) -> None:
    """Neither a whole group nor what is no number."""
    done = program("fluent-ctl", "shutdown", "--", pid)
    assert (done.status, done.err.count("\n")) == (1, 1)


def test_ctl_without_its_process(program: Program) -> None:
    """One that has ended."""
    child = subprocess.Popen(["true"])
    child.wait()
    done = program("fluent-ctl", "flush", child.pid)
    assert (done.status, done.err) == (1, f"fluent-ctl: there is no process {child.pid}: is it running?\n")
    assert program("fluent-ctl", "explode", "1").status == 2


def test_ca(program: Program, tmp_path: Path) -> None:
    """Key and certificate fit, the passphrase opens the key, and only its owner reads it."""
    folder = tmp_path / "a" / "b"
    done = program(
        "fluent-ca-generate", folder, "secret", "--country", "de", "--common-name", "A/B+C", "--key-length", 1024
    )
    assert done.status == 0, done.err
    assert (folder / "ca_key.pem").stat().st_mode & 0o777 == 0o600
    context = ssl.create_default_context(cafile=str(folder / "ca_cert.pem"))
    (certificate,) = context.get_ca_certs()
    names = dict(pair for (pair,) in certificate["subject"])
    assert (names["countryName"], names["localityName"], names["commonName"]) == ("DE", "Mountain View", "A/B+C")
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.set_ciphers("DEFAULT@SECLEVEL=0")  # the key is a short one
    own.load_cert_chain(folder / "ca_cert.pem", folder / "ca_key.pem", password="secret")  # noqa: S106 - made here
    with pytest.raises(ssl.SSLError):
        own.load_cert_chain(folder / "ca_cert.pem", folder / "ca_key.pem", password="wrong")  # noqa: S106 - made here


def test_ca_that_cannot_be_made(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each, and no key is left behind."""
    done = program("fluent-ca-generate", tmp_path, "secret", "--country", "Germany", "--key-length", 1024)
    assert (done.status, list(tmp_path.iterdir())) == (1, [])
    assert done.err.startswith("fluent-ca-generate: openssl: ")
    assert program("fluent-ca-generate", tmp_path, "secret", "--key-length", "8").status == 2
    monkeypatch.setenv("PATH", "/nowhere")
    done = program("fluent-ca-generate", tmp_path, "secret")
    assert (done.status, done.err) == (1, "fluent-ca-generate: the program openssl is needed\n")


def test_settings(program: Program) -> None:
    """As markdown, text and JSON."""
    assert "| `path` | string | required |" in program("fluent-plugin-config-format", "input", "tail").out
    text = program("fluent-plugin-config-format", "-f", "txt", "input", "tail").out
    assert text.startswith("path: string: (required) # ")
    assert "\n<parse>" in text
    compact = program("fluent-plugin-config-format", "-c", "input", "tail").out
    assert "* **path** (string): required\n" in compact
    document = json.loads(program("logpipe", "settings", "-f", "json", "-c", "output", "copy").out)
    assert (document["kind"], document["types"][0]) == ("output", "copy")


def test_settings_of_what_there_is_not(program: Program) -> None:
    """With a hint."""
    done = program("fluent-plugin-config-format", "input", "tial")
    assert (done.status, 'did you mean "tail"?' in done.err) == (1, True)
    assert program("fluent-plugin-config-format", "storage", "local").status == 1
    assert program("fluent-plugin-config-format", "inputs", "tail").status == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_generated_plugin_passes_its_own_tests(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Which are run here as they were written."""
    monkeypatch.chdir(tmp_path)
    done = program("fluent-plugin-generate", kind, f"made-{kind}")
    assert done.status == 0, done.err
    folder = tmp_path / f"logpipe-made-{kind}"
    for path in folder.rglob("*.*"):
        assert "@" not in path.read_text().replace("@type", "")
    assert (
        f'made_{kind} = "logpipe_made_{kind}:Made{kind.capitalize()}{kind.capitalize()}"'
        in (folder / "pyproject.toml").read_text()
    )
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location(f"made_{kind}_test", folder / "tests" / f"test_made_{kind}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        arguments: dict[str, Any] = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(test).parameters else {}
        await test(**arguments)


def test_nothing_is_generated_over_what_is_there(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no name leads elsewhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logpipe-mine").mkdir()
    assert program("fluent-plugin-generate", "filter", "mine").status == 1
    for name in ("../out", "class", "a b", "1st"):
        assert program("fluent-plugin-generate", "filter", name).status == 2
    assert program("fluent-plugin-generate", "storage", "other").status == 1
    assert list((tmp_path / "logpipe-mine").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("install", "fluent-plugin-record-modifier", "-v", "2.1.0"), 0, "filter record_modifier is in logpipe "),
        (("install", "--no-document", "fluent-plugin-parser-cri:0.1.1"), 0, "parser cri is in logpipe "),
        (("install", "fluent-plugin-nobody-has"), 1, "not known here"),
        (("list",), 0, "logpipe "),
    ],
)
def test_gems(program: Program, arguments: tuple[str, ...], status: int, said: str) -> None:
    """What is here already is done; what is not fails, so that a Dockerfile's build stops."""
    done = program("fluent-gem", *arguments)
    assert (done.status, said in done.out) == (status, True), done


def test_a_gem_that_an_extra_has(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names what pip installs."""
    monkeypatch.setattr("logpipe.registry.Registry.installed", lambda _self: iter(()))
    done = program("fluent-gem", "install", "fluent-plugin-kafka", "fluent-plugin-s3")
    first, second = done.out.splitlines()
    assert (done.status, first) == (1, "fluent-plugin-kafka: pip install 'logpipe[kafka]'")
    assert second.startswith("fluent-plugin-s3: ")


def test_other_uses_of_gem(program: Program) -> None:
    """Are refused."""
    done = program("fluent-gem", "uninstall", "fluent-plugin-kafka")
    assert (done.status, "use pip" in done.err) == (2, True)
