"""An HTTP client for outputs.

settings.py     the settings of a client; proxy.py: proxies that the environment names
tls.py          what is trusted and shown, from files that are read again when they have changed
client.py       what a stage holds; pool.py, which imports aiohttp: its connections
answers.py      what comes back, and whether it means delivered, try again, or never
sigv4.py        signatures as AWS asks for them; credentials.py: the keys for them; aws_keys.py: keys for a while
"""
