"""A real OpenSearch: one node within a Java program of a few lines, without its security and its modules."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.services.jars import UnavailableError, cached
from tests.services.java import JavaServer, StartError
from tests.services.ports import on_free_port

OPENSEARCH = "2.19.3"

# JNA, with which it would look whether root starts it, is left out.
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>logpipe.tests</groupId>
  <artifactId>opensearch</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.opensearch</groupId>
      <artifactId>opensearch</artifactId>
      <version>{OPENSEARCH}</version>
      <exclusions>
        <exclusion><groupId>net.java.dev.jna</groupId><artifactId>jna</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <groupId>org.opensearch.plugin</groupId>
      <artifactId>transport-netty4-client</artifactId>
      <version>{OPENSEARCH}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-core</artifactId>
      <version>2.21.0</version>
    </dependency>
  </dependencies>
</project>
"""

MAIN = "SearchNode"
SOURCE = """\
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

public class SearchNode extends Node {
    SearchNode(Environment environment) {
        super(environment, List.of(Netty4Plugin.class), true);
    }

    public static void main(String[] arguments) throws Exception {
        Settings settings = Settings.builder().loadFromPath(Path.of(arguments[0])).build();
        new SearchNode(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "logpipe")).start();
        Thread.sleep(Long.MAX_VALUE);
    }
}
"""

SETTINGS = """\
path.home: {folder}
network.host: 127.0.0.1
http.port: {port}
transport.port: 0
transport.type: netty4
http.type: netty4
discovery.type: single-node
cluster.routing.allocation.disk.threshold_enabled: false
"""


@contextlib.contextmanager
def running() -> Iterator[int]:
    """Run a node for as long as the block lasts, and give its port.

    Raises:
        UnavailableError: this machine can't run it.
    """
    jars = cached("opensearch", OPENSEARCH, POM)
    _compile(jars)
    with tempfile.TemporaryDirectory(prefix="logpipe-opensearch-") as name:
        folder = Path(name)
        servers: list[JavaServer] = []

        def start(port: int) -> int:
            settings = folder / "opensearch.yml"
            settings.write_text(SETTINGS.format(folder=folder, port=port))
            server = JavaServer(MAIN, settings, jars=jars, heap="256m", serves=lambda: _serves(port))
            server.start()
            servers.append(server)
            return port

        try:
            yield on_free_port(start, refused=StartError)
        finally:
            for server in servers:
                if server.archives:
                    server.stop()
                else:
                    server.kill()


def _serves(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_cluster/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _compile(jars: Path) -> None:
    """Make the program's jar, once."""
    made = jars / "search-node.jar"
    if made.exists():
        return
    if not (compiler := shutil.which("javac")):
        raise UnavailableError("no real opensearch: no javac: apt-get install default-jdk-headless")
    with tempfile.TemporaryDirectory(dir=jars.parent) as name:
        folder = Path(name)
        source = folder / f"{MAIN}.java"
        source.write_text(SOURCE)
        subprocess.run([compiler, "-cp", f"{jars}/*", "-d", name, str(source)], check=True, timeout=300)
        new = folder / "new.jar"
        with zipfile.ZipFile(new, "w") as archive:
            archive.write(folder / f"{MAIN}.class", f"{MAIN}.class")
        os.replace(new, made)  # noqa: PTH105 - in one step
