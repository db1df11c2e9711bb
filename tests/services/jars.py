"""Jar files of servers, fetched once from Maven Central into a cache outside the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

KAFKA = "3.9.1"
JAVA = 17

# The plugin's version is fixed because Debian's Maven would otherwise choose one that copies differently.
GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

# slf4j-simple: Kafka and ZooKeeper log through SLF4J, which is silent, start-up failures included, without a binding.
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>logpipe.tests</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


class UnavailableError(Exception):
    """A real server can't be had on this machine; the message is one line that says what is missing."""


def jars() -> Path:
    """Return the folder with every jar of the broker's class path, fetching them if this is the first time.

    Raises:
        UnavailableError: no Java of at least version 17, or neither Maven nor a filled cache, or Maven could not fetch.
    """
    return cached("kafka", KAFKA, POM)


def cached(name: str, version: str, pom: str) -> Path:
    """Return the folder with the jars that a pom names, fetching them if this is the first time.

    Args:
        name: of the server.
        version: its.
        pom: what Maven reads.

    Raises:
        UnavailableError: as of `jars`.
    """
    if (java := _java_version()) < JAVA:
        found = f"java {java}" if java else "no java"
        raise UnavailableError(
            f"no real {name}: it needs java {JAVA} or newer, found {found}: apt-get install default-jre"
        )
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(base) / "logpipe" / f"{name}-{version}"
    if not cache.is_dir():
        _fetch(cache, f"{name} {version}", pom)
    return cache


def _java_version() -> int:
    """Return the major version of the `java` on the path, 0 without one."""
    if not (java := shutil.which("java")):
        return 0
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60).stderr
    # Up to Java 8 the version was written 1.8, so that 1 is what it says.
    version = re.search(r'version "(\d+)', said)
    return int(version[1]) if version else 0


def _fetch(cache: Path, what: str, pom: str) -> None:
    """Fill the cache in one step, so that one interrupted half-way is never taken for complete."""
    if not (maven := shutil.which("mvn")):
        raise UnavailableError(f"no real {what}: no mvn to fetch it with: apt-get install maven")
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent) as folder:
        Path(folder, "pom.xml").write_text(pom)
        command = [maven, "-q", "-B", GOAL, f"-DoutputDirectory={folder}/jars", "-DincludeScope=runtime"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            reason = next((line for line in done.stdout.splitlines() if "ERROR" in line), "no reason given")
            raise UnavailableError(f"no real {what}: mvn could not fetch it: {reason}")
        try:
            Path(folder, "jars").rename(cache)
        except OSError:
            if not cache.is_dir():
                raise
            # Another run of the tests filled the cache in the meantime.
