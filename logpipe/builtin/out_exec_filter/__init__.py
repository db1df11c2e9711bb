"""Sends events through commands that go on running. Settings and rules: fluentd's plugin/out_exec_filter.rb.

options.py      settings, 0.12's among them
children.py     one place for a command: it is started, fed, read, and started again
plugin.py       chunks to commands, in turn
"""

from logpipe.builtin.out_exec_filter.plugin import ExecFilter as ExecFilter
