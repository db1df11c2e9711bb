"""The program as a service manager and an operator meet it: modes of files, its process id, its log, its user."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.daemons import PATIENCE, Program
from tests.services.ports import adjacent_ports
from tests.services.waiting import slowness, wait_until

NOBODY = pwd.getpwnam("nobody")
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    started = Program(tmp_path)
    yield started
    started.kill()


def modes(folder: Path) -> dict[str, str]:
    """Return every file and folder below `folder` with its mode."""
    return {
        str(path.relative_to(folder)): f"{stat.S_IMODE(path.stat().st_mode):o}" for path in sorted(folder.rglob("*"))
    }


DEAD = """
<source>
  @type sample
  tag bad
  sample {"n":1}
</source>
<filter bad>
  @type record_transformer
  enable_ruby true
  <record>
    n ${raise "no"}
  </record>
</filter>
<match bad>
  @type null
</match>
"""


def made_by(program: Program) -> dict[str, str]:
    """Run it until something of every kind is on the disk, and return the modes."""
    program.deliver("hello")
    root = program.folder / "root"
    wait_until(lambda: list(root.rglob("*.jsonl")) != [], seconds=PATIENCE, what=lambda: program.said)
    pos = program.folder / "state" / "app.pos"
    wait_until(lambda: pos.exists() and pos.stat().st_size > 0, seconds=PATIENCE, what="the positions")
    found = modes(program.folder)
    mine = ("app.log", "logpipe.conf")
    return {name: mode for name, mode in found.items() if name not in {"log", "run"} and not name.startswith(mine)}


def test_files_have_fluentds_modes(program: Program) -> None:
    """0644 and 0755 as fluentd's env.rb has them: whoever read outputs, logs and positions before still can."""
    program.configure(DEAD, system=f"root_dir {program.folder}/root")
    program.start()
    found = made_by(program)
    folders = {name for name in found if (program.folder / name).is_dir()}
    assert {"out", "state", "buffer", "root/backup/worker0"} <= folders
    assert {"out/app.log", "state/app.pos", "log/logpipe.log", "run/pid"} <= found.keys() - folders
    assert {name: mode for name, mode in found.items() if mode != ("755" if name in folders else "644")} == {}


@pytest.mark.parametrize(
    ("umask", "flags", "file", "folder"),
    [
        (0o077, (), "600", "700"),
        (0o022, ("--umask", "027"), "640", "750"),
    ],
)
def test_the_umask_is_kept_in_the_foreground(
    program: Program, umask: int, flags: tuple[str, ...], file: str, folder: str
) -> None:
    """Without -d it is the one that the process was started with, or the one that is given."""
    program.configure()
    with foreground(program, *flags, umask=umask):
        program.deliver("hello")
        found = modes(program.folder)
    assert (found["out/app.log"], found["out"], found["log/logpipe.log"]) == (file, folder, file)


@contextmanager
def foreground(program: Program, *flags: str, umask: int) -> Iterator[None]:
    command = (sys.executable, "-m", "logpipe", "-c", str(program.config), "-o", str(program.log), *flags)
    process = subprocess.Popen(command, umask=umask)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(PATIENCE * slowness()) == 0


def test_in_the_background_the_umask_is_fluentds(program: Program) -> None:
    """It is 0 there (serverengine's daemon.rb), so that a strict shell makes no strict service."""
    program.configure()
    program.start(umask=0o077)
    program.deliver("hello")
    found = modes(program.folder)
    assert (found["out/app.log"], found["out"], found["log/logpipe.log"]) == ("644", "755", "644")


def test_the_modes_of_system_hold_for_every_file_and_folder(program: Program) -> None:
    """`file_permission` and `dir_permission`, exactly and whatever the umask."""
    system = f"root_dir {program.folder}/root\nfile_permission 0660\ndir_permission 0770"
    program.configure(DEAD, system=system)
    program.start("--umask", "077")
    found = made_by(program)
    folders = {name for name in found if (program.folder / name).is_dir()}
    assert {name: mode for name, mode in found.items() if mode != ("770" if name in folders else "660")} == {}


def test_a_position_file_keeps_its_mode_and_owner(program: Program) -> None:
    """It is replaced at each write; who was let in before still is."""
    state = program.folder / "state"
    state.mkdir()
    (state / "app.pos").touch(mode=0o664)
    (state / "app.pos").chmod(0o664)
    if os.geteuid() == 0:
        os.chown(state / "app.pos", NOBODY.pw_uid, NOBODY.pw_gid)
    program.configure()
    program.start()
    program.deliver("hello")
    wait_until(lambda: (state / "app.pos").stat().st_size > 0, seconds=PATIENCE, what="the positions")
    found = (state / "app.pos").stat()
    assert stat.S_IMODE(found.st_mode) == 0o664
    assert os.geteuid() != 0 or found.st_uid == NOBODY.pw_uid


def test_a_second_start_with_the_same_pid_file_leaves_it_alone(program: Program) -> None:
    """It fails and says who runs; the first keeps its file, and removes it at its end."""
    program.configure()
    pid = program.start()
    second = program.run("-d", str(program.pid_file), "-o", str(program.folder / "second.log"))
    assert second.returncode == 1
    assert f"process {pid} runs with this file" in second.stderr
    assert int(program.pid_file.read_text()) == pid
    program.deliver("the first still runs")
    program.stop()
    assert not program.pid_file.exists()


def test_folders_of_the_log_and_the_process_id_are_made(program: Program) -> None:
    """As fluentd makes that of its log."""
    program.configure()
    program.log.parent.rmdir()
    program.pid_file.parent.rmdir()
    program.start()
    assert "starting logpipe" in program.said


@pytest.mark.parametrize("left", ["4194304\n", "1\n", "", "nonsense"])
def test_a_pid_file_that_was_left_is_taken_over(program: Program, left: str) -> None:
    """Of a process that was killed, or one whose number another program has got since."""
    program.configure()
    program.pid_file.write_text(left)
    assert str(program.start()) != left.strip()
    program.stop()
    assert not program.pid_file.exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_background_is_told_of_only_when_it_has_started(program: Program, workers: int) -> None:
    """A port that is taken, which only starting finds out: status 1, no pid file, plugin and place are named."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        program.configure(
            f"<worker 0>\n<source>\n@type monitor_agent\nbind 127.0.0.1\nport {port}\n</source>\n</worker>",
            system=f"workers {workers}",
        )
        done = program.run("-d", str(program.pid_file), "-o", str(program.log))
    assert done.returncode == 1
    assert not program.pid_file.exists()
    assert f"<source> @type monitor_agent at {program.config}:" in program.said
    assert "ddress already in use" in program.said
    assert "Traceback" not in program.said + done.stdout + done.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_the_background_has_started_when_it_says_so(program: Program, workers: int) -> None:
    """Whoever waits for the command may rely on the server."""
    first = adjacent_ports(workers)
    last = workers - 1  # a worker's number is added to its port
    program.configure(
        f"<worker {last}>\n<source>\n@type monitor_agent\nbind 127.0.0.1\nport {first}\n</source>\n</worker>",
        system=f"workers {workers}",
    )
    program.start()
    with socket.create_connection(("127.0.0.1", first + last), timeout=PATIENCE):
        pass


@only_root
def test_a_user_owns_what_it_needs(program: Program) -> None:
    """Log and process id, which the user opens again or removes; its groups are its own."""
    program.configure(system="log_level info")
    for folder in ("state", "out", "buffer", "log", "run"):
        (program.folder / folder).mkdir(exist_ok=True)
        os.chown(program.folder / folder, NOBODY.pw_uid, NOBODY.pw_gid)
    for path in (program.folder, *program.folder.parents):
        path.chmod(path.stat().st_mode | 0o011) if path.stat().st_uid == 0 and path != Path("/") else None
    pid = program.start("--user", "nobody")
    assert (program.log.stat().st_uid, program.pid_file.stat().st_uid) == (NOBODY.pw_uid, NOBODY.pw_uid)
    status = Path(f"/proc/{pid}/status").read_text()
    ids = {line.split()[0]: line.split()[1:] for line in status.splitlines() if line}
    assert set(ids["Uid:"]) == {str(NOBODY.pw_uid)}
    assert set(ids["Gid:"]) == {str(NOBODY.pw_gid)}
    assert set(ids["Groups:"]) == {str(group) for group in os.getgrouplist("nobody", NOBODY.pw_gid)}
    program.log.rename(program.folder / "log" / "old")
    os.kill(pid, signal.SIGUSR1)
    wait_until(program.log.exists, seconds=PATIENCE, what="the new file of the log")
    assert program.log.stat().st_uid == NOBODY.pw_uid
    program.stop()
    assert not program.pid_file.exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--user", "nosuch"), "--user nosuch: there is no such user"),
        (("--group", "nosuch"), "--group nosuch: there is no such group"),
        (("-o", "{folder}"), "-o {folder}: the log cannot be written: Is a directory"),
        (("-o", "{folder}/fifo"), "-o {folder}/fifo: the log cannot be written: nobody reads this FIFO"),
        (("-o", "{folder}/app.log/x"), "-o {folder}/app.log/x: the log cannot be written: Not a directory"),
        (("-d", "{folder}"), "-d {folder}: Is a directory"),
        (("-d", "{folder}/app.log/pid"), "-d {folder}/app.log/pid: Not a directory"),
        (("-d", "/dev/null"), "-d /dev/null: it is no regular file"),
        (("--no-supervisor", "--workers", "2"), "--no-supervisor runs one worker, not 2"),
    ],
)
def test_a_users_mistake_is_one_line(program: Program, flags: tuple[str, ...], said: str) -> None:
    """Which says the flag, what is wrong with it, and what to do."""
    program.configure()
    os.mkfifo(program.folder / "fifo")
    done = program.run(*(flag.format(folder=program.folder) for flag in flags))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"logpipe: error: {said.format(folder=program.folder)}" in done.stderr
    assert done.stdout == ""


def flushes(program: Program) -> int:
    while True:
        with contextlib.suppress(FileNotFoundError):  # renamed between the listing and the reading
            return sum(path.read_text().count("flushing all buffers") for path in program.log.parent.iterdir())


def _has_flushed(program: Program, before: int) -> bool:
    return flushes(program) != before


@pytest.mark.parametrize("workers", [1, 2])
def test_the_log_is_rotated_by_size(program: Program, workers: int) -> None:
    """As Ruby's Logger does: PATH.0 is the newest, so many files are kept, no line is lost, workers and all."""
    program.configure(system=f"workers {workers}\nlog_level debug\n<log>\nrotate_age 5\nrotate_size 2k\n</log>")
    pid = program.start()
    names = [f"logpipe.log.{number}" for number in range(4)]
    while not (program.log.parent / names[-1]).exists():
        before = flushes(program)
        os.kill(pid, signal.SIGUSR1)
        wait_until(partial(_has_flushed, program, before), seconds=PATIENCE, what=lambda: program.said)
    assert sorted(path.name for path in program.log.parent.iterdir()) == ["logpipe.log", *names]
    assert all(path.stat().st_size < 4096 for path in program.log.parent.iterdir())


def test_flags_rotate_the_log_too(program: Program) -> None:
    """--log-rotate-age and --log-rotate-size."""
    program.configure()
    program.start("--log-rotate-age", "2", "--log-rotate-size", "100", "-vv")
    program.deliver("hello")
    program.stop()
    assert sorted(path.name for path in program.log.parent.iterdir()) == ["logpipe.log", "logpipe.log.0"]


def test_yesterdays_log_is_put_aside(program: Program) -> None:
    """`rotate_age daily`, by the time of the file that is there, under yesterday's date."""
    program.log.write_text("old\n")
    os.utime(program.log, (1_000_000_000, 1_000_000_000))
    program.configure(system="<log>\nrotate_age daily\n</log>")
    program.start()
    (aside,) = set(program.log.parent.iterdir()) - {program.log}
    assert aside.read_text() == "old\n"
    assert aside.name.removeprefix("logpipe.log.").isdigit()
    assert "starting logpipe" in program.said
