"""Checks public configurations as `logpipe check` does: `python -m tests.corpus_check`.

Prints every error on a file that fluentd accepts and whose plugins are all installed, then the counts. What fluentd did
with each file was recorded once, in corpus_verdicts.tsv.
"""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator
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

DIFFERENCES: Final = dict.fromkeys(
    (
        "wild/openshift+origin-aggregated-logging__fluentd_configs.d_openshift_filter-k8s-record-transform.conf",
        "wild/openshift+origin-aggregated-logging__fluentd_configs.d_openshift_filter-k8s-record-transform~2.conf",
        "wild/openshift+origin-aggregated-logging__fluentd_configs.d_openshift_filter-syslog-record-transform.conf",
        "wild/openshift+origin-aggregated-logging__fluentd_configs.d_openshift_filter-syslog-record-transform~2.conf",
    ),
    "File.open in an expression of record_transformer, which would open the file for each record",
)
"""The files that fluentd accepts and logpipe refuses on purpose, with the reason."""


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
        """How it is counted: foreign (a plugin is not installed), clean, refused, on purpose or wrong."""
        if any(diagnostic.code == "unknown-plugin" for diagnostic in self.diagnostics):
            return "foreign"
        if not self.errors:
            return "clean"
        if self.file in DIFFERENCES:
            return "on purpose"
        return "refused" if self.verdict == "refused" else "wrong"


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
    """Print the errors and the counts; 1 where there are errors."""
    counts: Counter[str] = Counter()
    for each in checked():
        counts[each.kind] += 1
        for error in each.errors if each.kind == "wrong" else ():
            print(error)  # noqa: T201 - a command
    total = counts.total()
    print(  # noqa: T201 - a command
        f"{total} files, {total - counts['foreign']} with every plugin installed, {counts['refused']} of these refused "
        f"by fluentd as well, {counts['on purpose']} by logpipe alone on purpose, {counts['wrong']} with errors"
    )
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
