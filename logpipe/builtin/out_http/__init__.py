"""Posts chunks to an HTTP server. Settings and rules: fluentd's plugin/out_http.rb.

options.py      settings, and what contradicts another
endpoint.py     the URL: what of it a chunk's events may say
headers.py      the headers, and who sends: Basic, or AWS's signatures
plugin.py       a chunk's request, and what the answer means
"""

from logpipe.builtin.out_http.plugin import HttpOutput as HttpOutput
