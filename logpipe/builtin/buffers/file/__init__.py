"""Buffers that keep their chunks in files: what was accepted survives kill -9 and a power cut.

    append ──► group ──► frames ──write, fdatasync──► PREFIX.cID.SUFFIX ──check, read──► delivery ──► unlink
                                                             └── what is damaged ──► corrupt/, with a report

How it differs from fluentd, whose settings and folders it takes: fluentd writes chunks without checksum or sync
(buf_file.rb). Here a chunk is one file of checksummed frames (frame.py), and events are accepted when they are synced
(logpipe/durable.py tells the order of steps). Our names, `cID` where fluentd has `bID` and `qID`, are passed over by a
fluentd that is started on the folder again; its own chunks are found, delivered and deleted (fluentd.py). A file's name
never changes: whether it still takes events after a restart follows from its key and its age.

A file is checked when its chunk is about to be delivered, not at the start: the first chunk leaves at once however
many wait. Whatever of it is intact is delivered (salvage.py).
"""

from logpipe.builtin.buffers.file.buffer import FileBuffer, FileSingleBuffer

__all__ = ["FileBuffer", "FileSingleBuffer"]
