"""What the series `ecs-v1` writes otherwise: the fields of whole lines have the names of Elastic's common schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from logpipe_community.grok.patterns import LEGACY

ECS: Final[Mapping[str, str]] = {
    **LEGACY,
    "URIHOST": "%{IPORHOST:[url][domain]}(?::%{POSINT:[url][port]:integer})?",
    "SYSLOGPROG": r"%{PROG:[process][name]}(?:\[%{POSINT:[process][pid]:integer}\])?",
    "SYSLOGFACILITY": (
        r"<%{NONNEGINT:[log][syslog][facility][code]:integer}\.%{NONNEGINT:[log][syslog][priority]:integer}>"
    ),
    "SYSLOGBASE": "%{SYSLOGTIMESTAMP:timestamp} (?:%{SYSLOGFACILITY} )?%{SYSLOGHOST:[host][hostname]} %{SYSLOGPROG}:",
    "SYSLOGBASE2": (
        "(?:%{SYSLOGTIMESTAMP:timestamp}|%{TIMESTAMP_ISO8601:timestamp}) (?:%{SYSLOGFACILITY} )?"
        "%{SYSLOGHOST:[host][hostname]}(?: %{SYSLOGPROG}:|)"
    ),
    "CRONLOG": (r"%{SYSLOGBASE} \(%{USER:[user][name]}\) %{CRON_ACTION:[system][cron][action]} \(%{DATA:message}\)"),
    "HTTPD_COMMONLOG": (
        r"%{IPORHOST:[source][address]} (?:-|%{HTTPDUSER:[apache][access][user][identity]}) "
        r"(?:-|%{HTTPDUSER:[user][name]}) \[%{HTTPDATE:timestamp}\] "
        r'"(?:%{WORD:[http][request][method]} %{NOTSPACE:[url][original]}(?: HTTP/%{NUMBER:[http][version]})?|%{DATA})"'
        " (?:-|%{INT:[http][response][status_code]:integer}) (?:-|%{INT:[http][response][body][bytes]:integer})"
    ),
    "HTTPD_COMBINEDLOG": (
        '%{HTTPD_COMMONLOG} "(?:-|%{DATA:[http][request][referrer]})" "(?:-|%{DATA:[user_agent][original]})"'
    ),
    "JAVASTACKTRACEPART": (
        r"%{SPACE}at %{JAVACLASS:[java][log][origin][class][name]}\.%{JAVAMETHOD:[log][origin][function]}"
        r"\(%{JAVAFILE:[log][origin][file][name]}(?::%{INT:[log][origin][file][line]:integer})?\)"
    ),
    "RUBY_LOGGER": (
        r"[DFEWI], \[%{TIMESTAMP_ISO8601:timestamp} #%{POSINT:[process][pid]:integer}\] *"
        "%{RUBY_LOGLEVEL:[log][level]} -- +%{DATA:[process][name]}: %{GREEDYDATA:message}"
    ),
    "MONGO3_LOG": (
        r"%{TIMESTAMP_ISO8601:timestamp} %{MONGO3_SEVERITY:[log][level]} (?:-|%{WORD:[mongodb][component]})%{SPACE}"
        r"(?:\[%{DATA:[mongodb][context]}\])? %{GREEDYDATA:message}"
    ),
}
