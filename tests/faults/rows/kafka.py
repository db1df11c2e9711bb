"""Rows 32 to 38: Kafka's brokers, topics and messages."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from tests.faults import texts
from tests.faults.cluster import BUFFERS, LINES, first_broker_behind_proxy, mock_cluster, reading, to_cluster
from tests.faults.logs import Log
from tests.faults.outcome import Impossible
from tests.faults.row import row
from tests.faults.trial import Lab, Trial
from tests.services.jars import UnavailableError
from tests.services.kafka import Kafka
from tests.services.mock_kafka import Error, Request
from tests.services.tcp_proxy import TcpProxy

SOON: Final = "<system>\n  shutdown_timeout 4\n</system>\n"
END_SECONDS: Final = 10
"""How long ending may take, with that timeout."""


@row(32, "brokers down at the start, in the middle, while ending")
def brokers_down(lab: Lab) -> None:
    """What can't be sent waits, then all of it arrives; it ends in time without its brokers."""
    for kind, buffer in BUFFERS.items():
        with lab.trial(f"{kind}: brokers down") as trial, mock_cluster(trial, {"t": 3}) as (mock, _):
            trial.may_repeat = True  # a broker that is cut off may have taken what it did not confirm
            log = trial.log()
            mock.stop_broker()
            logpipe = trial.start(SOON + to_cluster(trial, mock.bootstrap, buffer=buffer))
            log.write(LINES)
            trial.wait_for("no broker answers")
            trial.fired("down at the start")
            mock.start_broker()
            trial.wait_for_all()
            mock.stop_broker()
            end = time.monotonic() + lab.repeat(600 if kind == "kafka2" else 60, few=4)
            while time.monotonic() < end:
                log.write(LINES // 10)
                time.sleep(0.1)
            trial.fired("down in the middle")
            mock.start_broker()
            trial.wait_for_all()
            mock.stop_broker()
            log.write(LINES)
            trial.wait_until_read()
            began = time.monotonic()
            assert logpipe.stop() == 0
            assert time.monotonic() - began < END_SECONDS, "ending took too long without brokers"
            trial.fired("down while ending")
            mock.start_broker()
            logpipe = trial.start()
            trial.wait_for_all()
            trial.end(logpipe)


@row(33, "a slow broker, alone of three")
def slow_broker(lab: Lab) -> None:
    """What goes to the others is not held up."""
    with lab.trial("slow broker") as trial, mock_cluster(trial, {"slow": 1, "quick": 1}) as (mock, _):
        trial.may_repeat = True
        mock.set_leader("slow", 0, 1)
        mock.set_leader("quick", 0, 2)
        slow, quick = trial.log("slow"), trial.log("quick")
        text = "".join(
            texts.tail(trial.folder, path=f"{name}.log", tag=name).replace("state/pos", f"state/{name}")
            + texts.to_kafka(mock.bootstrap, topic=name, tag=name).replace("@id out", f"@id {name}")
            for name in ("slow", "quick")
        )
        logpipe = trial.start(text)
        slow.write(LINES)
        quick.write(LINES)
        trial.wait_for_all()
        mock.slow_broker(5000, 1)
        slow.write(LINES)
        for _ in range(5):
            quick.write(LINES)
            trial.wait(partial(_complete, trial, quick), "the quick topic's lines")
        trial.fired("slow", when=not slow.series.complete)
        mock.slow_broker(0, 1)
        trial.wait_for_all()
        trial.end(logpipe)


@row(34, "leaders move, NOT_ENOUGH_REPLICAS, a broker stops and starts")
def leaders_move(lab: Lab) -> None:
    """The order within a partition is kept and nothing is lost."""
    for kind, buffer in BUFFERS.items():
        with lab.trial(f"{kind}: leaders move") as trial, mock_cluster(trial, {"t": 1}) as (mock, arrivals):
            log = trial.log()
            logpipe = trial.start(to_cluster(trial, mock.bootstrap, buffer=buffer))
            for number in range(lab.repeat(30, few=8)):
                mock.set_leader("t", 0, number % 3 + 1)
                trial.fired("leader moved")
                if number % 4 == 3:
                    mock.fail_requests(Request.PRODUCE, Error.NOT_ENOUGH_REPLICAS, Error.NOT_ENOUGH_REPLICAS)
                log.write(LINES // 3)
                time.sleep(0.1)
            trial.wait_for_all()
            assert arrivals.order == sorted(arrivals.order), "lines came in another order than they were written in"
            trial.end(logpipe)
    if not lab.short:
        _broker_bounces(lab)


def _broker_bounces(lab: Lab) -> None:
    """A real broker, which sorts out an idempotent producer's repetitions, is stopped, killed and started."""
    try:
        kafka = Kafka.start()
    except UnavailableError as error:
        raise Impossible(str(error)) from error
    with kafka, lab.trial("a real broker bounces") as trial:
        kafka.create_topic("t")
        with reading(trial, kafka.bootstrap, {"t": 1}) as arrivals:
            log = trial.log()
            buffer = BUFFERS["kafka2"]
            logpipe = trial.start(to_cluster(trial, kafka.bootstrap, buffer=buffer, more="idempotent true"))
            for stop in (kafka.stop_broker, kafka.kill_broker):
                log.write(LINES)
                trial.wait_for_all()
                log.write(10 * LINES)
                stop()
                log.write(LINES)
                time.sleep(5)  # the length of the outage is what is tried
                kafka.start_broker()
                trial.fired("bounced")
                trial.wait_for_all(seconds=120)
            assert arrivals.order == sorted(arrivals.order), "lines came in another order than they were written in"
            trial.end(logpipe)


@row(35, "the answer is lost after a write")
def answer_lost(lab: Lab) -> None:
    """What was not confirmed is sent again: it comes twice without idempotence, and nothing is lost."""
    with lab.trial("answers lost") as trial, mock_cluster(trial, {"t": 1}) as (mock, _):
        trial.may_repeat = True
        with first_broker_behind_proxy(mock) as proxy:
            log = trial.log()
            logpipe = trial.start(to_cluster(trial, mock.bootstrap))
            log.write(LINES)
            trial.wait_for_all()
            for number in range(1, lab.repeat(8, few=4)):
                proxy.lose_answers(1)
                log.write(LINES)
                trial.wait(partial(_has_lost, proxy, number), "an answer to be lost")
                trial.fired("answer lost")
            trial.wait_for_all()
            assert trial.account.duplicates <= proxy.lost_answers * LINES, "more came twice than was not confirmed"
            trial.end(logpipe)


@row(36, "MSG_SIZE_TOO_LARGE, invalid record, CORRUPT_MESSAGE")
def refused_messages(lab: Lab) -> None:
    """A refused batch is halved until the message to blame is alone: that one goes to @ERROR, the others arrive."""
    for error, times in ((Error.MSG_SIZE_TOO_LARGE, 9), (Error.INVALID_RECORD, 9), (Error.CORRUPT_MESSAGE, 4)):
        with lab.trial(f"refused: {error.name}") as trial, mock_cluster(trial, {"t": 1}) as (mock, _):
            log = trial.log()
            errors = texts.ERRORS_TO_FILE.format(folder=trial.folder)
            logpipe = trial.start(to_cluster(trial, mock.bootstrap) + errors)
            log.write(LINES)
            trial.wait_for_all()
            mock.fail_partition("t", 0, *[error] * times)
            log.write(LINES)
            dead = DeadLetters(trial)
            trial.wait(partial(_complete_or_dead, trial, dead), "every line to arrive or to be a dead letter")
            log.write(LINES)
            trial.wait_for_all(except_for=len(dead.lines()))
            trial.set_aside = len(dead.lines())
            trial.fired(error.name, when=dead.lines() or "is tried again" in trial.said)
            # The mock refuses whatever comes next: of a batch of two, one message after two refusals.
            assert trial.set_aside <= times // 2, f"{trial.set_aside} messages given up after {times} refusals"
            trial.end(logpipe)


class DeadLetters:
    """The lines that went to @ERROR."""

    def __init__(self, trial: Trial) -> None:
        self._file = trial.folder / "errors/errors.log"

    def lines(self) -> Sequence[str]:
        """Return them."""
        return self._file.read_text().splitlines() if self._file.exists() else ()


@row(37, "one topic unknown, refused or deleted among others")
def one_topic(lab: Lab) -> None:
    """The others are not held up, and it goes on when the topic is there."""
    for error in (Error.UNKNOWN_TOPIC_OR_PARTITION, Error.TOPIC_AUTHORIZATION_FAILED, Error.LEADER_NOT_AVAILABLE):
        with lab.trial(f"one topic: {error.name}") as trial, mock_cluster(trial, {"bad": 1, "good": 1}) as (mock, _):
            bad, good = trial.log("bad"), trial.log("good")
            mock.fail_topic("bad", error)
            text = "".join(
                texts.tail(trial.folder, path=f"{name}.log", tag=name).replace("state/pos", f"state/{name}")
                + texts.to_kafka(mock.bootstrap, topic=name, tag=name).replace("@id out", f"@id {name}")
                for name in ("bad", "good")
            )
            logpipe = trial.start(text)
            bad.write(LINES)
            for _ in range(5):
                good.write(LINES)
                trial.wait(partial(_complete, trial, good), "the good topic's lines")
            trial.fired(error.name, when=not bad.series.distinct)
            mock.fail_topic("bad", Error.NONE)
            trial.wait_for_all()
            trial.end(logpipe)


@row(38, "as many topics as an attacker has names for")
def too_many_topics(lab: Lab) -> None:
    """No more than `max_topics` are made; what names another goes to the default topic."""
    topics = ("t", *(f"attack-{number}" for number in range(5)))
    with lab.trial("topics without end") as trial, mock_cluster(trial, dict.fromkeys(topics, 1)) as (mock, _):
        names = itertools.count()
        log = trial.log(entry=lambda text: json.dumps({"message": text, "topic": f"attack-{next(names)}"}) + "\n")
        source = texts.tail(trial.folder, parse="@type json\ntime_key none")
        logpipe = trial.start(source + texts.to_kafka(mock.bootstrap, more="max_topics 5"))
        for _ in range(lab.repeat(20, few=1)):
            log.write(5_000)  # the mock keeps no more than 5 MB
            trial.wait_for_all()
        trial.fired("too many topics", when="is one more than max_topics 5" in trial.said)
        trial.end(logpipe)


def _has_lost(proxy: TcpProxy, number: int) -> bool:
    return proxy.lost_answers >= number


def _complete_or_dead(trial: Trial, dead: DeadLetters) -> bool:
    return trial.arrived() + len(dead.lines()) >= trial.account.written


def _complete(trial: Trial, log: Log) -> bool:
    trial.arrived()
    return log.series.complete
