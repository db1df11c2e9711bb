"""Lines of Kubernetes' own programs, which log as klog and glog do: the parsers of fluentd's Kubernetes images."""

from __future__ import annotations

from typing import Final

from logpipe import Host, param
from logpipe.codec import MultilinePatternParser, ParseOptions, PatternParser
from logpipe.ruby import compile_regexp

_LINE: Final = r"^(?<severity>\w)(?<time>\d{4} [^\s]*)\s+(?<pid>\d+)\s+(?<source>[^ \]]+)\] (?<message>.*)"
_FIRST: Final = r"^\w\d{4}"


class KubernetesOptions(ParseOptions):
    """Settings of `<parse> @type kubernetes` and `multiline_kubernetes`."""

    time_key: str | None = param("Field that holds the event's time; it is taken out of the record.", default="time")
    time_format: str | None = param(
        "How the time is written; it has no year, so that the current one counts.", default="%m%d %H:%M:%S.%N"
    )


class KubernetesParser(PatternParser[KubernetesOptions], type="kubernetes"):
    """Reads lines such as `I0204 07:32:30.020537    3368 server.go:48] text` into severity, pid, source and message.

    A text with newlines in it is one event.
    """

    def __init__(self, options: KubernetesOptions, host: Host) -> None:
        super().__init__(options, host, compile_regexp(_LINE, "m"))


class MultilineKubernetesParser(MultilinePatternParser[KubernetesOptions], type="multiline_kubernetes"):
    """Reads the same, where what follows a line and does not begin as one belongs to its message."""

    def __init__(self, options: KubernetesOptions, host: Host) -> None:
        super().__init__(options, host, compile_regexp(_LINE, "m"), first=compile_regexp(_FIRST))
