"""A door for stages that show how the others do, or write Prometheus' format, and for what inputs account for."""

from logpipe.exposition import CONTENT_TYPE as CONTENT_TYPE
from logpipe.exposition import head_text as head_text
from logpipe.exposition import labels_text as labels_text
from logpipe.exposition import sample_text as sample_text
from logpipe.metrics import Measurement as Measurement
from logpipe.metrics import SourceAccount as SourceAccount
from logpipe.plugin.host import Monitor as Monitor
from logpipe.plugin.host import PluginState as PluginState
from logpipe.plugin.host import RetryState as RetryState
