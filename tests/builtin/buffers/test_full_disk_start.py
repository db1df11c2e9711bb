"""A start on a disk that is full: what is in the buffer can leave."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.builtin.buffers.test_disk_trouble import output_of

START_ON_A_FULL_DISK = """
    import asyncio, sys
    from pathlib import Path
    from tests.builtin.buffers.stages import conf, running, sink

    async def main(folder):
        text = conf(folder / "b", "flush_interval 1h\\nchunk_limit_size 100k\\nfree_space_reserve 0")
        async with running(text) as pipe:
            sink(pipe).always = OSError("down")
            await pipe.feed("a", *({"n": n, "pad": "x" * 1000} for n in range(50)))
        number = 0
        while True:  # every byte and every file that the disk has room for
            try:
                (folder / f"filler{number}").write_bytes(b"x" * 100_000)
            except OSError:
                break
            number += 1
        try:
            for more in range(100_000):
                (folder / f"empty{more}").touch()
        except OSError:
            pass
        async with running(text) as pipe:
            try:
                async with running(text):
                    raise SystemExit("two engines have the same buffer")
            except ExceptionGroup as problem:
                assert "in use by another process" in repr(problem), repr(problem)
            await pipe.flush()
            assert [record["n"] for record in sink(pipe).records] == list(range(50))
        print("drained")

    asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.long("the program is started on a full disk, again and again")
@pytest.mark.parametrize("limit", ["size=1m", "size=1m,nr_inodes=20"])
def test_a_start_on_a_full_disk(limit: str, tmp_path: Path) -> None:
    """What is in the buffer can leave, whether bytes or files have run out, and still only one engine has it."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("unshare -rm is not permitted here")
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(START_ON_A_FULL_DISK))
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f"mount -t tmpfs -o {limit} tmpfs {disk} && exec {sys.executable} {program} {disk}"
    assert "drained" in output_of(["unshare", "-rm", "sh", "-c", script])
