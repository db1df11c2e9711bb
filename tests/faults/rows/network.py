"""Row 39: what lies between logpipe and Kafka's brokers: names, connections, certificates, passwords."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import trustme

from tests.faults.cluster import LINES, first_broker_behind_proxy, mock_cluster, reading, to_cluster
from tests.faults.row import row
from tests.faults.trial import Lab
from tests.services.in_thread import in_thread
from tests.services.mock_kafka import MockKafka
from tests.services.sasl_gate import sasl_gate
from tests.services.tcp_proxy import tcp_proxy


@row(39, "names unknown, connections silent, TLS expired, SASL refused")
def network(lab: Lab) -> None:
    """Other brokers are asked, silent connections given up in time, and where trust is missing events wait for it."""
    with lab.trial("a name that does not resolve") as trial, mock_cluster(trial, {"t": 3}) as (mock, _):
        log = trial.log()
        logpipe = trial.start(to_cluster(trial, f"no-such-broker.invalid:9092,{mock.bootstrap}"))
        log.write(LINES)
        trial.wait_for_all()
        trial.fired("a name that does not resolve")
        trial.end(logpipe)
    _expired(lab)
    _refused(lab)
    if lab.short:
        return  # what follows takes as long as a request may
    with lab.trial("a silent connection") as trial, mock_cluster(trial, {"t": 1}) as (mock, _):
        trial.may_repeat = True
        with first_broker_behind_proxy(mock) as proxy:
            log = trial.log()
            logpipe = trial.start(to_cluster(trial, mock.bootstrap))
            log.write(LINES)
            trial.wait_for_all()
            proxy.fall_silent()
            log.write(LINES)
            trial.fired("silent", when=proxy.silenced)
            trial.wait_for_all(seconds=120)
            trial.end(logpipe)


def _expired(lab: Lab) -> None:
    """The broker's certificate is out of date at the start, and again later."""
    authority = trustme.CA()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    valid, expired = authority.issue_cert("localhost"), authority.issue_cert("localhost", not_after=yesterday)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    expired.configure_cert(context)
    credulous = {"security.protocol": "ssl", "enable.ssl.certificate.verification": False}
    with (
        lab.trial("a certificate that has expired") as trial,
        MockKafka(1) as mock,
        in_thread(lambda: tcp_proxy(mock.bootstrap, tls=context)) as proxy,
    ):
        mock.create_topic("t", partitions=1)
        mock.advertise(1, proxy.port)
        address = f"localhost:{proxy.port}"
        with reading(trial, address, {"t": 1}, credulous):
            trial.may_repeat = True  # the answer that is lost below
            authority.cert_pem.write_to_path(str(trial.folder / "ca.pem"))
            log = trial.log()
            logpipe = trial.start(to_cluster(trial, address, more=f"ssl_ca_cert {trial.folder}/ca.pem"))
            log.write(LINES)
            trial.wait_for("certificate has expired")
            trial.fired("expired at the start", when=not trial.account.distinct)
            valid.configure_cert(context)
            trial.wait_for_all()
            expired.configure_cert(context)
            said = trial.said.count("certificate has expired")
            proxy.lose_answers(1)
            log.write(LINES)
            trial.wait(lambda: trial.said.count("certificate has expired") > said, "the certificate to be refused")
            log.write(LINES)
            trial.fired("expired later", when=trial.account.missing)
            valid.configure_cert(context)
            trial.wait_for_all()
            trial.end(logpipe)


def _refused(lab: Lab) -> None:
    """The brokers do not know the password at the start, and once more later."""
    right, wrong = "swordfish", "another"
    with lab.trial("a password that is refused") as trial, mock_cluster(trial, {"t": 1}, brokers=1) as (mock, _):
        trial.may_repeat = True
        with in_thread(lambda: sasl_gate(mock.bootstrap, password=wrong)) as gate:
            mock.advertise(1, gate.port)
            log = trial.log()
            more = f"username u\n  password {right}\n  sasl_over_ssl false"
            logpipe = trial.start(to_cluster(trial, f"127.0.0.1:{gate.port}", more=more))
            log.write(LINES)
            trial.wait_for("Invalid username or password")
            trial.fired("refused at the start", when=gate.refused and not trial.account.distinct)
            gate.password = right
            trial.wait_for_all()
            refused, gate.password = gate.refused, wrong
            gate.lose_answers(1)
            log.write(LINES)
            trial.wait(lambda: gate.refused > refused, "the password to be refused")
            log.write(LINES)
            trial.fired("refused later", when=trial.account.missing)
            gate.password = right
            trial.wait_for_all()
            assert right not in trial.said, "the password stands in the log"
            trial.end(logpipe)
