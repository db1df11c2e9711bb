"""Takes events over HTTP. Settings and rules: fluentd's plugin/in_http.rb.

options.py      settings, and the parser type `in_http`
content.py      what a request holds: its body unpacked, and its parameters
records.py      from there to records and times
origins.py      pages of other origins
plugin.py       a request from its tag to its answer
"""

from logpipe.builtin.in_http.options import InHttpParser as InHttpParser
from logpipe.builtin.in_http.plugin import HttpInput as HttpInput
