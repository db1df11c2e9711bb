"""What inputs have in common whose peers send one message after the other: `syslog`, `tcp`, `udp`.

framing.py      bytes of a connection to messages
complaints.py   what is said of messages that are in no format
delivery.py     events to outputs, until they are taken
receiving.py    datagrams and connections to messages; who sends them: ../peers.py
options.py      settings; plugin.py: the input itself
"""
