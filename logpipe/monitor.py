"""A door for stages that show how the others do, and for inputs that account for what they read."""

from logpipe.metrics import Measurement as Measurement
from logpipe.metrics import SourceAccount as SourceAccount
from logpipe.plugin.host import Monitor as Monitor
from logpipe.plugin.host import PluginState as PluginState
from logpipe.plugin.host import RetryState as RetryState
