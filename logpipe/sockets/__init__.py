"""Listening sockets, which belong to the process and not to the graph that uses them.

address.py      where: TCP, UDP, Unix
opening.py      binding, and what to say where it fails
inherited.py    systemd's, and those of the program before in this process; handed.py: connections of that
kept.py         the process's sockets, which a graph takes over from the one before
endpoint.py     what a stage holds of one, from being declared to being opened
shared.py       one socket for several workers, which their supervisor keeps

What is done with them is in `logpipe.net`, the door for stages; nobody who does not listen imports that.
"""
