"""Access logs of the web server nginx. Settings and rules: fluentd's plugin/parser_nginx.rb."""

from __future__ import annotations

from typing import Final

from logpipe import Host, param
from logpipe.builtin.parsers.regexp import RegexpOptions
from logpipe.codec import PatternParser

_ACCESS: Final = (
    r'/^(?<remote>[^ ]*) (?<host>[^ ]*) (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)'
    r'(?: +(?<path>[^\"]*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)'
    r'(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)"(?:\s+\"?(?<http_x_forwarded_for>[^\"]*)\"?)?)?$/'
)


class NginxOptions(RegexpOptions):
    """Settings of `<parse> @type nginx`."""

    expression: str = param("Ruby regular expression, `/…/`, whose named groups become the fields.", default=_ACCESS)
    time_format: str | None = param("How the time is written.", default="%d/%b/%Y:%H:%M:%S %z")


class NginxParser(PatternParser[NginxOptions], type="nginx"):
    """Reads access logs: as apache, with remote and http_x_forwarded_for; all fields are text."""

    def __init__(self, options: NginxOptions, host: Host) -> None:
        super().__init__(options, host, options.pattern)
