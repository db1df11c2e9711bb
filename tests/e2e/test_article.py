"""The article's file, byte for byte but for the two addresses it leaves open, with a real ZooKeeper and Kafka."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from examples.demo.node import STRAY_LOG, Node
from examples.demo.pods import PODS
from tests.e2e.private_var_log import private_var_log
from tests.e2e.program import Logpipe
from tests.services.kafka import Kafka
from tests.services.waiting import wait_until

ARTICLE = Path(__file__).parents[2] / "examples/article/td-agent.conf"
LINES = 2_000
TOPICS = {"default", *(pod.namespace for pod in PODS)}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A node's logs in a folder of this test."""
    return Node(tmp_path, PODS)


@pytest.fixture
def through(tmp_path: Path, node: Node) -> list[str]:
    """A command under which that node's /var/log is the machine's."""
    assert node.containers == tmp_path / "var/log/containers"
    try:
        return private_var_log(tmp_path / "var/log")
    except (PermissionError, FileNotFoundError) as error:
        pytest.skip(str(error))


@pytest.mark.slow("a real broker and the program are started")
@pytest.mark.services
def test_article(own_kafka: Kafka, node: Node, through: list[str], tmp_path: Path) -> None:
    """Each namespace's lines arrive in its topic with their metadata, and lines of none in the default topic."""
    config = tmp_path / "td-agent.conf"
    config.write_text(re.sub(r"SOME_IP[12]:2181", own_kafka.zookeeper, ARTICLE.read_text()))
    no_cluster = {"KUBERNETES_SERVICE_HOST": "", "KUBERNETES_SERVICE_PORT": ""}
    node.write_lines(LINES)
    with Logpipe(config, tmp_path / "said", through=through, environment=no_cluster).start() as logpipe:

        def said() -> str:
            return f"more lines; logpipe said:\n{logpipe.said}"

        wait_until(lambda: own_kafka.topic_size("shop"), seconds=60, what=said)
        node.write_lines(LINES)
        wait_until(lambda: all_lines(own_kafka) == written_lines(node), seconds=60, what=said)
        assert logpipe.stop() == 0

    assert logpipe.said.count("required_acks 0 can lose events") == 1
    assert "Traceback" not in logpipe.said
    for topic in TOPICS:
        for record in records(own_kafka, topic):
            check(record, topic)


def check(record: dict[str, Any], topic: str) -> None:
    """Check that the record has what the file's name says of its container, and nothing made up where it says none."""
    expected = {(pod.container_id, pod.container, pod.namespace, pod.name) for pod in PODS if pod.namespace == topic}
    if not expected:
        assert record.keys() == {"log", "stream", "topic"}
        assert record["topic"] is None
        return
    kubernetes = record["kubernetes"]
    names = (kubernetes["container_name"], kubernetes["namespace_name"], kubernetes["pod_name"])
    assert (record["docker"]["container_id"], *names) in expected
    assert record.keys() == {"log", "stream", "docker", "kubernetes", "topic"}
    assert record["topic"] == topic


def records(kafka: Kafka, topic: str) -> list[dict[str, Any]]:
    """Return the topic's records without those of logpipe's own log, which the article's file lets through too."""
    found = [json.loads(message.value or b"{}") for message in kafka.read_topic(topic)]
    return [record for record in found if "log" in record]


def all_lines(kafka: Kafka) -> Counter[tuple[str, str]]:
    """Return how often each line is in each topic."""
    return Counter((topic, record["log"]) for topic in TOPICS for record in records(kafka, topic))


def written_lines(node: Node) -> Counter[tuple[str, str]]:
    """Return how often each line is in the logs, each with the topic it belongs to."""
    lines: Counter[tuple[str, str]] = Counter()
    for log in node.containers.iterdir():
        topic = "default" if log.name == STRAY_LOG else log.name.split("_")[1]
        lines.update((topic, json.loads(line)["log"]) for line in log.read_text(encoding="utf-8").splitlines())
    return lines
