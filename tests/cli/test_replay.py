"""`logpipe buffer` with dead letters: what it shows of them, and how they are delivered again."""

from __future__ import annotations

import asyncio
import fcntl
import json
from pathlib import Path

import pytest

from logpipe.cli import main
from logpipe.engine.dead_letters.letters import Culprit
from tests.builtin.buffers.stages import conf, running
from tests.cli.site import FILTER, OUTPUT, Site


def test_what_an_output_could_not_take_goes_to_it_again(site: Site) -> None:
    """Straight to the output, past the filters it has gone through already; then the file goes."""
    file = site.leave(OUTPUT, {"n": 1}, {"bad": 2})
    done = site.run("replay")
    assert done.status == 0, done
    assert "2 events to out" in done.out
    assert done.out.splitlines()[-1] == "2 events delivered, 0 are dead letters again"
    assert site.delivered == [{"n": 1}, {"bad": 2}]
    assert list(file.parent.iterdir()) == []


def test_what_a_filter_could_not_handle_goes_to_its_label(site: Site) -> None:
    """Through all its filters; what is still bad is a dead letter again, and said."""
    site.leave(FILTER, {"n": 1}, {"bad": 2})
    done = site.run("replay")
    assert done.status == 1
    assert done.out.splitlines()[-1] == "1 events delivered, 1 are dead letters again"
    assert site.delivered == [{"n": 1, "touched": True}]
    (again,) = (site.letters / "touchy").iterdir()
    assert json.loads(again.read_text())["record"] == {"bad": 2}


def test_an_output_that_still_cannot_take_them(site: Site) -> None:
    """Its events are dead letters again, in a new file."""
    site.config.write_text(
        site.config.read_text()
        .replace(f"path {site.folder}/out", "path /proc/none/out")
        .replace("flush_mode interval", "flush_mode interval\n    retry_max_times 0\n    retry_wait 0")
    )
    file = site.leave(OUTPUT, {"n": 1}, {"n": 2})
    done = site.run("replay")
    assert (done.status, done.out.splitlines()[-1]) == (1, "0 events delivered, 2 are dead letters again")
    (again,) = file.parent.iterdir()
    assert again.name != file.name


def test_payloads_go_to_the_output_that_encoded_them(site: Site) -> None:
    """As they are."""
    site.leave(OUTPUT, payload=b'{"n":7}\n')
    assert site.run("replay").status == 0
    assert site.delivered == [{"n": 7}]


def test_a_dry_run_says_what_would_go_where(site: Site) -> None:
    """And touches nothing."""
    files = [site.leave(OUTPUT, {"n": 1}), site.leave(FILTER, {"n": 2}, {"n": 3})]
    done = site.run("replay", "--dry-run")
    assert done.status == 0
    assert done.out.splitlines() == [f"{files[0]}: 1 events to out", f"{files[1]}: 2 events to @ROOT"]
    assert all(file.exists() for file in files)
    assert site.delivered == []


def test_letters_of_a_plugin_that_is_gone(site: Site) -> None:
    """They stay until somebody says where they belong."""
    file = site.leave(Culprit("output", "kafka2", "old", "@GONE"), {"n": 1})
    done = site.run("replay")
    assert done.status == 1
    assert (
        f"{file}.replaying: not replayed: the configuration has no old (kafka2): say with --to where it belongs now: "
        "output_null, out, @ROOT, @OTHER" in done.out
    )
    assert file.exists()
    assert site.run("replay", file, "--to", "out").status == 0
    assert site.delivered == [{"n": 1}]
    assert not file.exists()


def test_a_place_that_is_not_there(site: Site) -> None:
    """Named with those that are."""
    site.leave(OUTPUT, {"n": 1})
    done = site.run("replay", "--to", "nowhere")
    assert "nowhere is no output and no label here; there are output_null, out, @ROOT, @OTHER" in done.out


def test_a_damaged_file_is_repaired_first(site: Site) -> None:
    """What is no letter is moved aside by repair; until then nothing of the file is sent."""
    file = site.leave(OUTPUT, {"n": 1})
    with file.open("ab") as more:
        more.write(b'{"at_ns": 1, "rea')
    assert site.run("verify", file).status == 1
    done = site.run("replay")
    assert (done.status, site.delivered) == (1, [])
    assert "repair it first" in done.out
    assert "1 records kept, 1 lines moved" in site.run("repair", file, "--apply").out
    assert site.run("replay").status == 0
    assert site.delivered == [{"n": 1}]


def test_a_file_that_is_being_replayed_is_left_alone(site: Site) -> None:
    """Two at a time would deliver it twice; after a crash of the first the second takes it."""
    file = site.leave(OUTPUT, {"n": 1})
    claimed = file.with_name(f"{file.name}.replaying")
    file.rename(claimed)
    with claimed.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = site.run("replay")
        assert "is being replayed by another process" in done.out
        assert (done.status, site.delivered) == (1, [])
    assert site.run("replay").status == 0
    assert site.delivered == [{"n": 1}]


def test_chunks_that_no_engine_wants(site: Site, tmp_path: Path) -> None:
    """The buffer of an output that is gone is delivered by another one, and its files go."""

    async def leave_chunks() -> None:
        async with running(conf(tmp_path / "old", "flush_interval 1h", arg="tag")) as pipe:
            await pipe.feed("x", {"n": 1}, {"n": 2})

    asyncio.run(leave_chunks())
    done = site.run("replay", tmp_path / "old", "--to", "out")
    assert done.status == 0, done
    assert site.delivered == [{"n": 1}, {"n": 2}]
    assert list((tmp_path / "old").glob("*.log")) == []


def test_letters_are_listed_and_printed(site: Site) -> None:
    """With the reason, by folder and by file."""
    file = site.leave(OUTPUT, {"n": 1}, {"n": 2})
    listed = site.run("ls", site.folder)
    assert "1 chunks, 2 records" in listed.out
    assert "out: OSError: down" in listed.out
    printed = site.run("cat", file)
    assert [json.loads(line)["record"] for line in printed.out.splitlines()] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("name", ["one.jsonl", "one.jsonl.replaying"])
def test_a_file_is_known_by_its_name(site: Site, name: str) -> None:
    """Also one whose replay was broken off."""
    file = site.leave(OUTPUT, {"n": 1})
    file = file.rename(file.with_name(name))
    assert "ok, 1 records intact" in site.run("verify", file).out


def test_a_configuration_is_needed(capfd: pytest.CaptureFixture[str]) -> None:
    """It says where events go."""
    with pytest.raises(SystemExit):
        main(["buffer", "replay", "/tmp"])  # noqa: S108 - any folder
    assert "give with -c the configuration that delivers the events" in capfd.readouterr().err


def test_another_configurations_letters_are_left_alone(site: Site) -> None:
    """Two that share a folder and an automatic id; an edit of the file changes nothing about whose they are."""
    mine = Culprit("output", "file", "out", "@ROOT", str(site.config))
    theirs = Culprit("output", "file", "out", "@ROOT", str(site.folder / "other.conf"))
    own, other = site.leave(mine, {"n": 1}, name="own"), site.leave(theirs, {"n": 2}, name="other")
    site.config.write_text(site.config.read_text() + "# edited\n")
    listed = site.run("replay", "--dry-run")
    assert listed.out.splitlines() == [f"{own}: 1 events to out"]
    assert f"{own.parent}: 1 files of other configurations are left out: --all takes them" in listed.err
    assert site.run("replay", own.parent).status == 0
    assert site.delivered == [{"n": 1}]
    assert other.exists()
    assert site.run("replay", "--all").status == 0
    assert site.delivered == [{"n": 1}, {"n": 2}]


def test_a_listing_shows_a_configurations_own_letters(site: Site) -> None:
    """And all with --all; a folder is shown as it is."""
    theirs = Culprit("output", "file", "out", "@ROOT", str(site.folder / "other.conf"))
    file = site.leave(theirs, {"n": 2}, name="other")
    plugins = site.folder / "plugins"
    assert "other" not in site.run("ls", "-c", site.config, "-p", plugins).out
    assert "other" in site.run("ls", "-c", site.config, "-p", plugins, "--all").out
    assert "other" in site.run("ls", file.parent).out
