"""A real ZooKeeper server, alone."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

from tests.services.java import JavaServer

# A short tick, because no session may be shorter than two of them and a killed broker's should run out soon.
SETTINGS = """\
dataDir={folder}/zookeeper-data
clientPort={port}
clientPortAddress=127.0.0.1
tickTime=500
maxClientCnxns=0
admin.enableServer=false
"""


def start_zookeeper(port: int, *, folder: Path, jars: Path) -> tuple[JavaServer, str]:
    """Start a server that keeps its data in the folder; return it and its address once it serves."""
    settings = folder / "zookeeper.properties"
    settings.write_text(SETTINGS.format(folder=folder, port=port))
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    server = JavaServer(main, settings, jars=jars, heap="128m", serves=partial(_serves, port))
    server.start()
    return server, f"127.0.0.1:{port}"


def _serves(port: int) -> bool:
    """Ask with the one four-letter word that needs no setting; a server that is not ready yet answers less."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(b"srvr")
            answer = b""
            while block := connection.recv(4096):
                answer += block
            return b"Mode: standalone" in answer
    except OSError:
        return False
