"""Rows of kind scenario: a whole configuration is run as a program, and its output files are compared."""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from logpipe.registry import Registry
from tests.services.waiting import slowness

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 20.0
"""Seconds after which what is there is compared as it is."""


def run(row: dict[str, Any]) -> str | None:
    """Return None where the files are what fluentd wrote, else what differs."""
    if missing := _missing_types(row):
        return f"SKIP: no stage yet: {', '.join(missing)}"
    encoding = row.get("encoding") or "utf-8"
    with tempfile.TemporaryDirectory(prefix="scenario-") as name:
        folder = Path(name)
        for path, content in row["files"].items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # what is not UTF-8 was recorded as the characters that its bytes are in the row's encoding
            target.write_bytes(_filled(content, folder).encode(encoding))
        config = folder / "fluent.yaml"
        if row["config"] is not None:
            config = folder / "fluent.conf"
            config.write_text(_filled(row["config"], folder))
        expected = {
            _filled(path, folder): [_filled(line, folder) for line in lines] for path, lines in row["expect"].items()
        }
        log = _run(config, folder, expected, encoding)
        found = _outputs(folder, set(row["files"]) | {config.name, "log"}, encoding)
        return _difference(expected, found, log)


def _missing_types(row: dict[str, Any]) -> list[str]:
    text = "\n".join([row["config"] or "", *(row["files"][name] for name in row["files"] if not name.endswith(".log"))])
    named = set(re.findall(r"^\s*(?:@type|\$type:|type)\s+(\S+)", text, re.MULTILINE))
    named |= set(re.findall(r"^\s*format\s+([a-z_]\S*)", text, re.MULTILINE))
    return sorted(named - {found.type for found in Registry().installed()})


def _filled(text: str, folder: Path) -> str:
    path = str(folder)
    return (
        text.replace("{{DIRTAG}}", path.lstrip("/").replace("/", "."))
        .replace("{{DIR}}", path)
        .replace("{{HOSTNAME}}", socket.gethostname())
        .replace("{{TODAY}}", datetime.now(UTC).strftime("%Y%m%d"))
    )


def _run(config: Path, folder: Path, expected: dict[str, Any], encoding: str) -> str:
    """Run until the files are right or patience ends, then stop it as fluentd was stopped; returns its log."""
    command = (sys.executable, "-m", "logpipe", "-c", str(config))
    environment = {**os.environ, "TZ": "UTC", "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
        try:
            end = time.monotonic() + PATIENCE * slowness()
            while process.poll() is None and time.monotonic() < end:
                if _is_written(expected, folder, encoding):
                    break
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE * slowness())
        finally:
            process.kill()
            process.wait()
    return (folder / "log").read_text(errors="replace")


def _is_written(expected: dict[str, list[str]], folder: Path, encoding: str) -> bool:
    """Return whether every expected file is as it should be; while it runs there are a buffer's files beside them."""
    found = _outputs(folder, set(), encoding)
    return all(found.get(path) == sorted(lines) for path, lines in expected.items())


def _outputs(folder: Path, inputs: set[str], encoding: str) -> dict[str, list[str]]:
    """Return the lines of every file that was written, sorted."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and name.startswith("out/") and name not in inputs:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            lines = content.decode(encoding, "replace").split("\n")
            found[name] = sorted(lines[:-1] if lines[-1] == "" else lines)
    return found


def _difference(expected: dict[str, list[str]], found: dict[str, list[str]], log: str) -> str | None:
    for path, lines in expected.items():
        if path not in found:
            return f"{path} is missing; there are {sorted(found)}; log: {log[-600:]}"
        if found[path] != sorted(lines):
            return f"{path}: {found[path][:6]} instead of {sorted(lines)[:6]}"
    extra = sorted(set(found) - set(expected))
    return f"unexpected files {extra}" if extra else None
