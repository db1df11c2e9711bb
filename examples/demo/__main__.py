"""`python -m examples.demo`: the article's complete pipeline on one machine without Java, ZooKeeper or Kubernetes.

It starts a broker and fakes of ZooKeeper and of the Kubernetes API, writes logs like the containers of a node, and runs
logpipe on them with the article's file. It ends by itself, with status 0 if every line arrived in its topic.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from examples.demo.run import run


def main() -> int:
    """Run the demo and return its exit status."""
    arguments = argparse.ArgumentParser(prog="make demo", description="Run the article's pipeline on this machine.")
    arguments.add_argument("--keep", action="store_true", help="go on until Ctrl-C instead of ending after the check")
    given = arguments.parse_args()
    try:
        return asyncio.run(run(keep=given.keep))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
