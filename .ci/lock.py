"""Locks what logpipe is installed with: `make lock` writes requirements/, `make static` asks whether it is current.

Each file names every package of one set with its version and hashes, for all Pythons and platforms, and on top the
requirements of the pyproject.toml files that it was made from. A package has the same version in all of them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HEADER = "# Written by `make lock` from these requirements of the pyproject.toml files:\n"
DEMO_PLUGINS = {"plugins/logpipe-kafka", "plugins/logpipe-kubernetes"}


def declared() -> dict[str, list[str]]:
    """Return the requirements of each set: what stands in the pyproject.toml files, without our own packages."""
    projects = {str(file.parent): tomllib.loads(file.read_text()) for file in [Path("pyproject.toml"), *_plugins()]}
    groups = projects["."]["dependency-groups"]

    def needs(names: Iterable[str]) -> list[str]:
        return [need for name in names for need in projects[name]["project"]["dependencies"]]

    build = [need for project in projects.values() for need in project["build-system"]["requires"]]
    demo = [*build, *needs([".", *sorted(DEMO_PLUGINS)]), *_group(groups, "demo")]
    sets = {
        "dev": [*build, *needs(projects), *_group(groups, "dev")],
        "demo": demo,
        "image": needs(projects),
        "build": build,
    }
    return {name: sorted({need for need in all_ if not need.startswith("logpipe")}) for name, all_ in sets.items()}


def _plugins() -> list[Path]:
    return sorted(Path("plugins").glob("*/pyproject.toml"))


def _group(groups: dict[str, Any], name: str) -> list[str]:
    needs: list[str] = []
    for entry in groups[name]:
        needs += [entry] if isinstance(entry, str) else _group(groups, entry["include-group"])
    return needs


def _file(name: str) -> Path:
    return Path("requirements", f"{name}.txt")


def write() -> None:
    """Lock the newest releases that the requirements allow; the largest set decides for the others."""
    for name, needs in declared().items():
        command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--no-config", "--universal", "--no-annotate"]
        command += ["--python-version", "3.11", "--generate-hashes", "--no-header", "--quiet", "--no-emit-index-url"]
        command += [] if name == "dev" else ["--constraint", str(_file("dev"))]
        pins = subprocess.run(command, input="\n".join(needs), stdout=subprocess.PIPE, text=True, check=True).stdout
        listed = "".join(f"#   {need}\n" for need in needs)
        _file(name).write_text(HEADER + listed + pins)


def differences() -> list[str]:
    """Return a line for each requirement that stands in a pyproject.toml and in no lock, or the other way round."""
    lines = []
    for name, needs in declared().items():
        text = _file(name).read_text() if _file(name).exists() else ""
        locked = {line.removeprefix("#   ") for line in text.splitlines() if line.startswith("#   ")}
        lines += [f"{_file(name)} does not know of {need}: make lock" for need in needs if need not in locked]
        lines += [
            f"{_file(name)} is for {need}, which no pyproject.toml asks for: make lock"
            for need in sorted(locked.difference(needs))
        ]
    return lines


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=["write", "check", "show"], help="write the files, compare them, show a set")
    parser.add_argument("set", nargs="?", default="dev", help="which requirements to show")
    arguments = parser.parse_args()
    if arguments.do == "write":
        write()
    elif arguments.do == "show":
        print("\n".join(declared()[arguments.set]))
    else:
        lines = differences()
        print("\n".join(lines), file=sys.stderr, end="\n" if lines else "")
        return 1 if lines else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
