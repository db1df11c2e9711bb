"""Sends events to other forwarders, by Fluentd's forward protocol.

options.py           settings; tls.py: `tls_*`
plugin.py            the output: chunks become messages, and each goes to a node
message.py           a chunk's message, in pieces
nodes.py             who is there: found by `<server>` and `<service_discovery>`, chosen by balance.py
node.py              one of them: its address, its connections; session.py: what is said on one
heartbeats.py        asks the nodes whether they are there; failure_detector.py judges
"""

from logpipe.builtin.out_forward.plugin import ForwardOutput as ForwardOutput
