"""HTTP for stages: `server.py` is what a stage holds; `front.py`, which imports aiohttp, what clients meet."""
