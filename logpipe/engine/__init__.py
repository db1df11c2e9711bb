"""One worker: builds a graph of stages and runs it.

running ─► building ─► hosts, delivery ─► dead_letters, buffering ─► routing ─► accounting, logging

Beside them stand `system` (`<system>`), `poison` (who is to blame for a refused chunk), `secrets` and `syncing`.
"""
