"""Buffers that keep their chunks in files: accepted events survive kill -9 and a power cut.

    append ──► group ──► frames ──write, fdatasync──► PREFIX.cID.SUFFIX ──check, read──► delivery ──► unlink
                                                             └── damaged parts ──► corrupt/, with a report

Settings and folders are fluentd's, the format is not: fluentd writes chunks without checksum or sync (buf_file.rb).
Here a chunk is one file of checksummed frames (frame.py), and events are accepted when they are synced
(logpipe/durable.py has the order of steps). Our file names, with `cID` where fluentd has `bID` and `qID`, are ignored
by a fluentd that is started on the folder again; its own chunks are found, delivered and deleted (fluentd.py). A file's
name never changes: whether it takes events after a restart follows from its key and its age.

A file is checked before its chunk is delivered, not at start, so that the first chunk need not wait for the others. Its
intact parts are delivered (salvage.py).
"""

from logpipe.builtin.buffers.file.buffer import FileBuffer, FileSingleBuffer

__all__ = ["FileBuffer", "FileSingleBuffer"]
