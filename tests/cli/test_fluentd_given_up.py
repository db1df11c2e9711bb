"""What fluentd has given up: its backups, and the files of its <secondary>, shown and delivered."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.builtin.buffers.test_fluentd_chunks import chunk_id, event, leave
from tests.cli.site import Site


def backup(site: Site, content: bytes, *, plugin_id: str = "out", number: int = 1) -> Path:
    """Leave a chunk as `Buffer#backup` of fluentd does: the content alone, under the chunk's id."""
    file = site.letters / plugin_id / f"{chunk_id(number)}.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_a_backup_goes_to_the_output_that_its_folder_names(site: Site) -> None:
    """Found by the configuration, for it is where logpipe keeps dead letters; deleted when it is delivered."""
    file = backup(site, event(1) + event(2))
    listed = site.run("ls", *site.named)
    assert f"{chunk_id(1)}  dead   -    -    2" in listed.out
    assert "fluentd's, of out" in listed.out
    done = site.run("replay")
    assert (done.status, done.out.splitlines()[-1]) == (0, "2 events delivered, 0 are dead letters again"), done
    assert site.delivered == [{"n": 1}, {"n": 2}]
    assert not list(file.parent.iterdir())


def test_what_an_output_had_formatted_goes_to_it_as_it_is(site: Site) -> None:
    """As fluentd's out_file would have written it."""
    backup(site, b'{"n":7}\n{"n":8}\n')
    assert site.run("replay").status == 0
    assert site.delivered == [{"n": 7}, {"n": 8}]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", ["dump.bin", "dump.bin.0", "dump.bin.0.gz", "any name"])
def test_files_of_a_secondary(pack: type[bytes], name: str, site: Site) -> None:
    """Any name, as it was said of them that they are; with the tag that somebody gives them."""
    site.config.write_text(
        site.config.read_text().replace(f"path {site.folder}/out", f"path {site.folder}/out.${{tag}}")
    )
    site.config.write_text(site.config.read_text().replace("<buffer>", "<buffer time, tag>\n    timekey 1d"))
    file = site.folder / "given_up" / name
    file.parent.mkdir()
    file.write_bytes(pack(event(1)) + pack(event(2)))
    refused = site.run("replay", "--to", "out", file)
    assert refused.status == 2
    assert "with --secondary" in refused.err
    listed = site.run("ls", "--format", "json", "--secondary", file)
    assert json.loads(listed.out)["records"] == 2
    done = site.run("replay", "--secondary", "--to", "out", "--tag", "a.b", file)
    assert done.status == 0, done
    assert site.delivered == [{"n": 1}, {"n": 2}]
    assert [path.name.split(".")[1:3] for path in site.folder.glob("out.*")] == [["a", "b"]]
    assert not list(file.parent.iterdir())


def test_no_output_of_that_name(site: Site) -> None:
    """An @id that fluentd made itself: somebody has to say where they go."""
    file = backup(site, event(1), plugin_id="object_5b4")
    done = site.run("replay")
    assert done.status == 1
    assert "has no object_5b4 (an output): say with --to where it belongs now" in done.out
    assert site.run("replay", "--to", "out").status == 0
    assert site.delivered == [{"n": 1}]
    assert not file.exists()


def test_what_no_match_would_take_stays(site: Site) -> None:
    """A label is asked before, for what nobody takes is gone."""
    site.config.write_text(
        site.config.read_text().replace("<label @OTHER>\n  <match **>", "<label @OTHER>\n  <match a>")
    )
    file = backup(site, event(1))
    done = site.run("replay", "--to", "@OTHER")
    assert done.status == 1
    assert "no <match> of @OTHER takes the tag ''" in done.out
    assert file.exists()
    assert site.run("replay", "--to", "@OTHER", "--tag", "a").status == 0
    assert not file.exists()


def test_a_damaged_one_is_repaired_first(site: Site) -> None:
    """Its intact events stay in it, and all of it in the folder corrupt."""
    content = event(1) + b"\xc1\xc1" + event(2)
    file = backup(site, content)
    assert "repair it first" in site.run("replay").out
    assert site.run("repair", site.letters).status == 1
    done = site.run("repair", "--apply", site.letters)
    assert done.status == 0, done
    assert (file.parent / "corrupt" / file.name).read_bytes() == content
    assert site.run("replay").status == 0
    assert site.delivered == [{"n": 1}, {"n": 2}]


def test_chunks_that_were_evacuated(site: Site) -> None:
    """Fluentd copies them with their metadata; the configuration shows them, and they can be replayed."""
    folder = site.folder / "root/buffer/out"
    leave(folder, 1, event(1), state="q", meta={"tag": "t"})
    assert chunk_id(1) in site.run("ls", *site.named).out
    assert site.run("replay", "--to", "out", folder).status == 0
    assert site.delivered == [{"n": 1}]
    assert list(folder.iterdir()) == []


def test_only_backups_are_taken_for_backups(site: Site) -> None:
    """A file with such a name in another folder is somebody's log."""
    file = site.folder / f"logs/{chunk_id(1)}.log"
    file.parent.mkdir()
    file.write_bytes(event(1))
    assert "no chunks in" in site.run("ls", file.parent).err
