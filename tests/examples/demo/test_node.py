"""The logs that the demo writes and reads back the account of."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from examples.demo.agent import ARTICLE, configuration
from examples.demo.node import STRAY_LOG, Node
from examples.demo.pods import PODS
from examples.demo.positions import lines_behind


def test_lays_logs_as_the_kubelet_does(tmp_path: Path) -> None:
    """Each container has a link in the folder that the article follows, which leads to docker's file."""
    node = Node(tmp_path, PODS)
    for pod in PODS:
        link = node.containers / f"{pod.name}_{pod.namespace}_{pod.container}-{pod.container_id}.log"
        assert link.readlink().parts[-5:-1] == (
            "log",
            "pods",
            f"{pod.namespace}_{pod.name}_{pod.uid}",
            pod.container,
        )
        assert link.resolve() == tmp_path / f"var/lib/docker/containers/{pod.container_id}/{pod.container_id}-json.log"


def test_counts_what_it_writes(tmp_path: Path) -> None:
    """What the files hold is what was counted, by namespace, and the log of no container counts for the default."""
    node = Node(tmp_path, PODS)
    node.write_lines(500)

    held: Counter[str] = Counter()
    for log in node.containers.iterdir():
        records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        assert all(record["log"].endswith("\n") and record["time"].endswith("Z") for record in records)
        held["default" if log.name == STRAY_LOG else log.name.split("_")[1]] += len(records)
    assert held == node.written
    assert held.total() == 500
    assert set(held) == {"default", *(pod.namespace for pod in PODS)}


def test_counts_lines_behind_the_positions(tmp_path: Path) -> None:
    """Lines after a noted position are behind, and so are all lines of a log that is not noted."""
    for name in ("read.log", "half.log", "new.log"):
        (tmp_path / name).write_text("a\nb\n")
    noted = tmp_path / "pos"
    noted.write_text(
        f"{tmp_path}/half.log\t{0:016x}\t{9:016x}\n{tmp_path}/read.log\t{4:016x}\t{7:016x}\n"
        f"{tmp_path}/half.log\t{2:016x}\t{9:016x}\n"
    )
    assert lines_behind(noted, tmp_path) == 3
    assert lines_behind(tmp_path / "missing", tmp_path) == 6


def test_configuration_is_the_articles(tmp_path: Path) -> None:
    """Only the three lines with an address or the folder differ from the article's file."""
    before = ARTICLE.read_text().splitlines()
    after = configuration(tmp_path, zookeeper="127.0.0.1:2181").splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [
        ("  path /var/log/containers/*.log", f"  path {tmp_path}/var/log/containers/*.log"),
        ("  pos_file /var/log/pos/es-containers.log.pos", f"  pos_file {tmp_path}/var/log/pos/es-containers.log.pos"),
        (
            "  zookeeper SOME_IP1:2181,SOME_IP2:2181 # Set brokers via Zookeeper",
            "  zookeeper 127.0.0.1:2181,127.0.0.1:2181 # Set brokers via Zookeeper",
        ),
    ]
