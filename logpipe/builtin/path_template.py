"""The names of out_file's files: additions to `path`, and checks of its placeholders.

Rules: fluentd's plugin/out_file.rb (generate_path_template) and plugin/output.rb (PlaceholderValidator).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from logpipe import InvalidSetting

INDEX: Final = "_**"
"""The placeholder for the number that makes a file's name unique."""

_PLACEHOLDER: Final = re.compile(r"\$\{([^}]+)\}")
_TAG: Final = re.compile(r"tag(?:\[-?\d+\])?")
_COMPRESSED: Final = {"gzip": ".gz", "zstd": ".zstd", "": ""}


def path_template(
    path: str, *, timekey: float | None, time_slice_format: str | None, append: bool, suffix: str, compress: str
) -> str:
    """Return the template of a file's name, with `INDEX` in it unless files are appended to.

    `timekey` is the length of a time slice in seconds, None without the chunk key `time`.

    Raises:
        InvalidSetting: the path contains `*` without time slices, or only some of the directives of its slices.
    """
    ending = _COMPRESSED[compress]
    index = "" if append else INDEX
    if "*" in path:
        if timekey is None:
            raise InvalidSetting("path including '*' must be used with buffer chunk key 'time'", param="path")
        return path.replace("*", (time_slice_format or _slice_format(timekey)) + index) + ending
    if timekey is None:
        return f"{path}{index}{suffix}{ending}"
    if time_slice_format is not None:
        return f"{path}.{time_slice_format}{index}{suffix}{ending}"
    slices = _slice_format(timekey)
    missing = [slices[at : at + 2] for at in range(0, len(slices), 2) if slices[at : at + 2] not in path]
    if not missing:
        return f"{path}{index}{suffix}{ending}"
    if len(missing) * 2 < len(slices):
        message = f"insufficient timestamp placeholders in path: add {' '.join(missing)}, or leave all out"
        raise InvalidSetting(message, param="path")
    return f"{path}.{slices}{index}{suffix}{ending}"


def _slice_format(timekey: float) -> str:
    if timekey < 60:
        return "%Y%m%d%H%M%S"
    if timekey < 3600:
        return "%Y%m%d%H%M"
    return "%Y%m%d%H" if timekey < 86_400 else "%Y%m%d"


def fixed_folder(template: str) -> str:
    """Return the folder before a template's first placeholder; "" where it has none."""
    head, placeholder, _ = template.partition("${")
    return (head.rpartition("/")[0] or "/" if "/" in head else ".") if placeholder else ""


def placeholder_problems(name: str, template: str, chunk_keys: Sequence[str]) -> Iterator[InvalidSetting]:
    """Yield missing placeholders: files of different chunks must have different names."""
    found = _PLACEHOLDER.findall(template)
    if "tag" in chunk_keys and not any(map(_TAG.fullmatch, found)):
        yield _problem(name, template, "doesn't have tag placeholder, though 'tag' is a chunk key: add ${tag}")
    if missing := [key for key in chunk_keys if key not in {"time", "tag", *found}]:
        hint = f"add {' '.join(f'${{{key}}}' for key in missing)}"
        yield _problem(name, template, f"doesn't have enough placeholders for keys {','.join(missing)}: {hint}")


def _problem(name: str, template: str, message: str) -> InvalidSetting:
    return InvalidSetting(f"{name} ({template}) {message}", param=name)
