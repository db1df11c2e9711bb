"""What inputs have in common whose peers send one message after the other: `syslog`, `tcp`, `udp`.

framing.py      bytes of a connection to messages
events.py       messages to events: the parser, and what is done about those that it does not match
delivery.py     events to outputs, until they are taken
by_tag.py       events whose tags stand in their records, to batches
receiving.py    datagrams and connections to messages; who sends them: ../peers.py
options.py      settings; plugin.py: the input itself
"""
