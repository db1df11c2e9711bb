"""Every module of the engine and of the installed plugins can be imported on this Python, with these releases."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import importlib, importlib.metadata, pkgutil
points = [e for k in ("input", "filter", "output", "parser", "formatter", "buffer", "service_discovery")
          for e in importlib.metadata.entry_points(group=f"logpipe.{k}")]
for name in sorted({"logpipe", *(point.module.partition(".")[0] for point in points)}):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
for point in points:
    point.load()
print(len(points))
"""


def test_every_module_and_every_plugin() -> None:
    """Nothing warns either: what a Python deprecates is an error of the one after it."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert int(done.stdout) > 30


def test_parsers_load_nothing_that_runs_expressions() -> None:
    """Until a section asks for it, by `types` or `tag_key` say."""
    code = "import sys, logpipe.codec; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "logpipe.parse.fields" in loaded
    assert [name for name in loaded if name.startswith("logpipe.expression.runtime")] == []
