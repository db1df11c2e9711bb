"""A buffer in files, for tests of reloads, that does not find again what a run before has left."""

from __future__ import annotations

from logpipe.builtin.buffers.file.buffer import FileBuffer


class Forgetful(FileBuffer, type="forgetful"):
    """Leaves the newest chunk where it is."""

    async def resume(self) -> list[object]:  # type: ignore[override]  # a list all the same
        return list((await super().resume())[:-1])
