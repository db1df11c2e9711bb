"""Outputs to services that take logs over HTTP: `splunk_hec`, in `splunk/`."""
