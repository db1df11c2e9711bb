"""Splunk's HTTP event collector: options.py, its settings; events.py, what is sent; out_splunk_hec.py, how."""
