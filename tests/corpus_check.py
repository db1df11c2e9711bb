"""Checks public configurations as `logpipe check` does: `python -m tests.corpus_check`.

Prints what fluentd and logpipe do not agree on, among the files whose plugins are all installed, then the counts. What
fluentd did with each file was recorded once, in corpus_verdicts.tsv.
"""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from logpipe.config.diagnostic import Diagnostic
from logpipe.registry import Registry
from logpipe.supervisor import Settings, check
from tests.corpus import CORPUS

VERDICTS: Final = Path(__file__).with_name("corpus_verdicts.tsv")

ENVIRONMENT: Final = {
    "KUBERNETES_SERVICE_HOST": "127.0.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
    "AWS_REGION": "eu-central-1",
    "REGION": "eu-central-1",
    "CLUSTER_NAME": "cluster",
}
"""What the files ask for with ENV.fetch, which refuses to go on without; all other variables are not set."""

_OPENSHIFT: Final = "wild/openshift+origin-aggregated-logging__fluentd_configs.d_openshift_filter-"
_GUIDE: Final = "post-installation-guide"
_SECURE: Final = "docs/readme__fluent-plugin-secure-forward__README.md__"
_OLD: Final = ("docs/old__docs__v0.10__", "docs/old__docs__v0.12__")
_SECURE_EXAMPLES: Final = "wild/tagomoris+fluent-plugin-secure-forward__example_"
REFUSED_HERE: Final = {
    "debug_agent runs the Ruby code of whoever connects": (
        "docs/monitoring-fluentd__overview.md__3.conf",
        "docs/old__docs__v0.10__monitoring.txt__5.conf",
        "fluentd-examples/fluent.conf",
        "wild/Henry8192+fluent__crash_tests_fluent.conf",
        "wild/MasayukiNumao+Wifi__etc_fluent_fluent.confsave.conf",
        "wild/ViaQ+docker-fluentd__configs.d_input_debug.conf",
        "wild/rirwin+theft-market__conf_fluentd_os-x-fluentd.conf",
        "wild/wnkz+docker-fluentd__config_fluent.conf",
    ),
    "an expression without named groups makes no record": (
        "docs/readme__fluent-plugin-multi-format-parser__README.md__4.conf",
    ),
    "File.open in an expression of record_transformer would open the file for each record": (
        f"{_OPENSHIFT}k8s-record-transform.conf",
        f"{_OPENSHIFT}k8s-record-transform~2.conf",
        f"{_OPENSHIFT}syslog-record-transform.conf",
        f"{_OPENSHIFT}syslog-record-transform~2.conf",
    ),
    "an endpoint without a host, as its variable is not set, leads nowhere": (
        "wild/leads-su+haproxy-tdagent-sentry__td-agent_td-agent.conf",
    ),
    "kinds of storage are no plugins here": (
        "docs/old__docs__v1.0__storage-plugin-overview.txt__1.conf",
        "docs/storage__README.md__1.conf",
    ),
    "a certificate that is made at the start": (
        *(f"{old}in_secure_forward.txt__{number}.conf" for old in _OLD for number in (1, 2, 3)),
        *(f"{old}out_secure_forward.txt__6.conf" for old in _OLD),
        *(f"{_SECURE}{number}.conf" for number in (5, 7, 9, 10, 11, 12)),
        *(
            f"{_SECURE_EXAMPLES}{name}.conf"
            for name in ("auth_server", "cert_copy_server_a", "cert_copy_server_b", "insecure_server", "server")
        ),
        "fluentd-examples/in_forward_tls.conf",
        "wild/cmachler+fluentd-kubernetes-coreos-secure__td-agent.conf",
    ),
    "events go round for ever": ("wild/Tivix+docker-fluentd__fluent.conf",),
    "its labels are in another file; fluentd was not asked, as a plugin was not installed there": (
        "wild/butschi84+fluentd-sample-pipeline__example_pipeline_1.conf.d_03-dispatch.conf",
        "wild/fluent+helm-charts__charts_fluentd_values.yaml__03_dispatch.conf",
    ),
    "throttle refuses a period of 0, by its code, as its variable is not set; it was not installed there": (
        "wild/cloudposse-archives+fluentd-kubernetes-logformat__conf.d_throttle.conf",
    ),
    "its patterns lie in another file": ("wild/ViaQ+docker-fluentd__data_config.d_forward_osp-filers.conf",),
    "the plugin refuses it, by its code; it was not installed where the verdicts were recorded": (
        "wild/DailyHotel+elb-to-elasticsearch__kafka-to-es_fluent.conf",
        "docs/readme__fluent-plugin-grok-parser__README.md__8.conf",
        "docs/readme__fluent-plugin-multi-format-parser__README.md__3.conf",
        "docs/readme__fluent-plugin-multi-format-parser__README.md__5.conf",
    ),
    "no proxy is spoken to": (f"{_SECURE}17.conf", f"{_SECURE_EXAMPLES}client_proxy.conf"),
    "splunk_hec requires hec_token, by its code; two of these are for another gem of that type": (
        "daemonset/v0.12__alpine-splunkhec__fluent.conf",
        "daemonset/v0.12__debian-splunkhec__fluent.conf",
        "docs/readme__fluent-plugin-splunk-hec__README.md__14.conf",
        "docs/readme__fluent-plugin-splunk-hec__README.md__17.conf",
    ),
    "elasticsearch refuses a user without a password, by its code; it was not there where verdicts were recorded": (
        "wild/srujith07+td-agent__out.conf",
        "wild/vmware+kube-fluentd-operator__config-reloader_examples_manifests_kfo-test.yaml__fluent~2.conf",
    ),
    "s3 refuses it without s3_bucket, by its code; it was not installed where the verdicts were recorded": (
        "docs/configuration__config-file-yaml.md__8.yaml",
        "docs/configuration__config-file.md__12.conf",
        "docs/deployment__multi-process-workers.md__6.conf",
        *(f"docs/readme__fluent-plugin-s3__docs__credentials.md__{number}.conf" for number in (1, 2, 4, 6, 9)),
    ),
    "<true/false>, as a recipe has it, is neither; fluentd takes it for false": (
        *(
            f"{old}recipe-{name}-to-s3.txt__2.conf"
            for old in _OLD
            for name in ("apache-logs", "csv", "http-rest-api", "json", "nginx", "syslog", "tsv")
        ),
    ),
    "secure_forward of today refuses it, by its code; it was not installed where the verdicts were recorded": (
        *(f"{old}forwarding-over-ssl.txt__{number}.conf" for old in _OLD for number in (1, 2)),
        *(f"{_SECURE}{number}.conf" for number in (13, 14, 15, 16)),
    ),
}
"""The files that fluentd accepts and logpipe refuses on purpose, by the reason."""

ACCEPTED_HERE: Final = {
    "kafka2 without <format> writes json, as its documentation says": (
        f"docs/installation__{_GUIDE}.md__15.conf",
        f"docs/old__docs__v1.0__{_GUIDE}.txt__3.conf",
        "docs/readme__fluent-plugin-kafka__README.md__18.conf",
    ),
    "rewriterule1 … are read as 1.6 of the plugin read them, which 2.0 has dropped": (
        "docs/old__docs__v0.10__out_rewrite_tag_filter.txt__1.conf",
        "docs/old__docs__v0.10__out_rewrite_tag_filter.txt__3.conf",
        f"{_OPENSHIFT}retag-journal.conf",
        "wild/upmc-enterprises+kubernetes-fluentd__fluent_s3.conf",
        *(
            f"wild/innossh+docker-fluentd-multiprocess__fluentd-multi_etc_fluent{number}.d_in-forward.conf"
            for number in (1, 2)
        ),
        *(
            f"wild/snsumner+fluent-azureeventhubs__k8s_fluentd-configmap.yaml__{name}-filter.conf"
            for name in ("kubernetes", "systemd")
        ),
    ),
    "files of certificates and of services are looked for at the start, and not by a check": (
        "docs/input__forward.md__8.conf",
        "docs/old__docs__v1.0__out_forward.txt__2.conf",
        "docs/output__forward.md__5.conf",
        "docs/plugin-helper-overview__api-plugin-helper-server.md__5.conf",
        "fluentd-examples/out_forward_sd.conf",
        "wild/canit00+fluentd__td-agent.conf",
        "wild/fluent-plugins-nursery+fluentd-benchmark-azure-environment__in_syslog_bench_ansible_config_"
        "fluent-collector.conf",
    ),
    "a hyphen behind \\w in a class of characters is itself, as it was in older Rubies": (
        "wild/doitintl+fluentbq__conf.d_haproxy.conf",
    ),
    "certificates are looked for at the start, not where a file is checked": (
        "docs/input__http.md__23.conf",
        "docs/input__syslog.md__14.conf",
    ),
}
"""The files that today's fluentd refuses and logpipe accepts on purpose, by the reason."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What there is to say about one file."""

    file: str
    diagnostics: list[Diagnostic]
    verdict: str
    """accepted or refused, by fluentd; "" where it could not be asked."""

    @property
    def errors(self) -> list[Diagnostic]:
        """What keeps it from running."""
        return [diagnostic for diagnostic in self.diagnostics if diagnostic.severity == "error"]

    @property
    def kind(self) -> str:
        """How it is counted: foreign (a plugin is not installed), or by who refuses it: nobody, both, we or fluentd.

        Where one of the two refuses it alone and not on purpose, it is wrong.
        """
        if any(diagnostic.code == "unknown-plugin" for diagnostic in self.diagnostics):
            return "foreign"
        if self.errors:
            # a label that is not there is an error in fluentd whatever plugins are installed: root_agent.rb, find_label
            if self.verdict == "refused" or {each.code for each in self.errors} == {"unknown-label"}:
                return "both"
            return "we" if _is_among(self.file, REFUSED_HERE) else "wrong"
        if self.verdict == "refused":
            return "fluentd" if _is_among(self.file, ACCEPTED_HERE) else "wrong"
        return "nobody"


def _is_among(file: str, differences: Mapping[str, Sequence[str]]) -> bool:
    return any(file in files for files in differences.values())


def checked(corpus: Path = CORPUS) -> Iterator[Checked]:
    """Check each file of the corpus that fluentd's parser accepts."""
    with VERDICTS.open(encoding="utf-8") as rows:
        reader = csv.reader((row for row in rows if not row.startswith("#")), delimiter="\t", quoting=csv.QUOTE_NONE)
        verdicts = {row[0]: row[1] for row in reader}
    registry = Registry(log=logging.getLogger("logpipe.check"))
    with (corpus / "expected.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["v1"] == "ok":
                found = check(Settings(corpus / row["file"]), env=ENVIRONMENT, registry=registry)
                yield Checked(row["file"], found.diagnostics, verdicts.get(row["file"], ""))


def main() -> int:
    """Print what is wrong, then the counts; 1 where anything is."""
    counts: Counter[str] = Counter()
    for each in checked():
        counts[each.kind] += 1
        if each.kind == "wrong":
            for line in each.errors or (f"{each.file}: fluentd refuses it",):
                print(line)  # noqa: T201 - a command
    total = counts.total()
    print(  # noqa: T201 - a command
        f"{total} files, {total - counts['foreign']} with every plugin installed, {counts['both']} of these refused by "
        f"fluentd as well, {counts['we']} by logpipe alone and {counts['fluentd']} by fluentd alone on purpose, "
        f"{counts['wrong']} with errors"
    )
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
