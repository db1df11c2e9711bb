"""Row 54: commands that flood standard error, ignore SIGTERM, fork, hang, fail, and end at once."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

from tests.faults import texts
from tests.faults.row import row
from tests.faults.trial import Lab, Trial
from tests.processes.life import is_gone

LINES: Final = 200
STUBBORN: Final = """\
trap '' TERM HUP INT
sleep 600 &
echo "$$ $!" >> {folder}/pids
head -c 3000000 /dev/zero >&2
{then}
"""
SOURCE: Final = """\
<source>
  @type exec
  command sh {folder}/command
  tag t
  <parse>
    @type none
  </parse>
</source>
"""
BUFFER: Final = f"""\
  <buffer []>
    @type file
    path {{folder}}/given
    flush_mode immediate
{texts.UNTIL_TAKEN}  </buffer>
"""
THROUGH: Final = f"""\
<match t>
  @type exec_filter
  command sh {{folder}}/command
  tag out
  child_respawn inf
  <format>
    @type single_value
  </format>
  <parse>
    @type none
  </parse>
{BUFFER}</match>
"""
TO_COMMAND: Final = f"""\
<match t>
  @type exec
  command sh {{folder}}/command
  command_timeout 1
  <format>
    @type single_value
  </format>
{BUFFER}</match>
"""
SYSTEM: Final = "<system>\n  shutdown_timeout 8\n</system>\n"


@row(54, "commands that flood stderr, ignore SIGTERM, fork, hang, fail, end at once")
def commands(lab: Lab) -> None:
    """What they write comes, what they do not take is given again, and nothing of them outlives the worker."""
    _read(lab)
    _fed(lab)
    _given_files(lab)


def _command(trial: Trial, text: str) -> None:
    (trial.folder / "command").write_text(text.replace("{folder}", str(trial.folder)))


def _pids(trial: Trial) -> list[int]:
    file: Path = trial.folder / "pids"
    return [int(word) for word in file.read_text().split()] if file.exists() else []


def _all_gone(trial: Trial) -> bool:
    return all(map(is_gone, _pids(trial)))


def _read(lab: Lab) -> None:
    for end in (signal.SIGTERM, signal.SIGKILL):
        with lab.trial(f"a stubborn command is read, and the worker gets {end.name}") as trial:
            log = trial.log()
            log.write(LINES)
            _command(trial, STUBBORN.replace("{then}", "cat {folder}/logs/app.log; wait"))
            logpipe = trial.start(SYSTEM + SOURCE.format(folder=trial.folder) + texts.to_file(trial.folder))
            trial.wait_for_all()
            trial.fired("stubborn, with a child", when=len(_pids(trial)) == 2 and not _all_gone(trial))
            if end == signal.SIGTERM:
                trial.end(logpipe)
            else:
                logpipe.signal(end)
            trial.wait(lambda: _all_gone(trial), "the command and its child to go")


def _fed(lab: Lab) -> None:
    with lab.trial("lines go through a stubborn command") as trial:
        log = trial.log()
        _command(trial, STUBBORN.replace("{then}", "exec cat"))
        text = SYSTEM + texts.tail(trial.folder) + THROUGH.format(folder=trial.folder)
        logpipe = trial.start(text + texts.to_file(trial.folder, tag="out"))
        for _ in range(5):
            log.write(LINES)
            trial.wait_for_all()
        trial.fired("stubborn, with a child", when=len(_pids(trial)) == 2 and not _all_gone(trial))
        log.write(LINES)
        trial.wait_until_read()
        trial.end(logpipe)  # what it has is waited for
        trial.wait(lambda: _all_gone(trial), "the command and its child to go")
    with lab.trial("lines go through a command that ends all the time") as trial:
        trial.may_repeat = True
        log = trial.log()
        # it takes no more than it answers, and what else it was given stays in its pipe
        _command(trial, 'echo $$ >> {folder}/pids\nfor i in 1 2 3 4 5 6 7; do read -r line && echo "$line"; done')
        text = SYSTEM + texts.tail(trial.folder) + THROUGH.format(folder=trial.folder)
        logpipe = trial.start(text + texts.to_file(trial.folder, tag="out"))
        for _ in range(lab.repeat(12, few=3)):
            log.write(7)
            trial.wait_for_all()
        trial.fired("ended", when=len(_pids(trial)) > 2)
        trial.end(logpipe)
        trial.wait(lambda: _all_gone(trial), "all commands to go")


def _given_files(lab: Lab) -> None:
    with lab.trial("a command for each chunk hangs, fails, and is killed") as trial:
        log = trial.log()
        _command(
            trial,
            """\
echo $$ >> {folder}/pids
echo >> {folder}/turns
case $(($(wc -l < {folder}/turns) % 4)) in
  1) trap '' TERM; sleep 600 & echo $! >> {folder}/pids; wait ;;
  2) head -c 3000000 /dev/zero >&2; exit 3 ;;
  3) kill -KILL $$ ;;
esac
mkdir -p {folder}/out
cat "$1" >> {folder}/out/out.log
""",
        )
        logpipe = trial.start(SYSTEM + texts.tail(trial.folder) + TO_COMMAND.format(folder=trial.folder))
        for _ in range(lab.repeat(10, few=2)):
            log.write(LINES)
            trial.wait_for_all()
        said = trial.said
        trial.fired("hung", when="has not ended within command_timeout" in said)
        trial.fired("failed", when="status=3" in said and ("SIGKILL" in said or "status=137" in said))
        trial.end(logpipe)
        trial.wait(lambda: _all_gone(trial), "all commands to go")
