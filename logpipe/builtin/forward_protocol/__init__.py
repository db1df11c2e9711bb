"""Fluentd's forward protocol, without any I/O: what is sent over connections, and how it is read.

https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1

limits.py        what a peer can make of us, and the error for what is no protocol
frames.py        bytes in, frames out; packed_frames.py and json_frames.py cut them, heads.py looks ahead
messages.py      a frame in, a message out; options.py: what stands behind its events
events.py        packed events, which are not decoded: their times, and where their records are; singles.py: those of
                 messages with one each
event_times.py   times; inflating.py: compressed events
encoding.py      messages and acknowledgements, as bytes
handshake.py     HELO, PING and PONG, of both sides
"""

from logpipe.builtin.forward_protocol.encoding import acknowledged as acknowledged
from logpipe.builtin.forward_protocol.encoding import acknowledgement as acknowledgement
from logpipe.builtin.forward_protocol.encoding import forward_message as forward_message
from logpipe.builtin.forward_protocol.encoding import pack_event as pack_event
from logpipe.builtin.forward_protocol.encoding import pack_events as pack_events
from logpipe.builtin.forward_protocol.encoding import pack_record as pack_record
from logpipe.builtin.forward_protocol.encoding import packed_frame as packed_frame
from logpipe.builtin.forward_protocol.encoding import packed_message as packed_message
from logpipe.builtin.forward_protocol.encoding import single_message as single_message
from logpipe.builtin.forward_protocol.event_times import pack_time as pack_time
from logpipe.builtin.forward_protocol.events import Events as Events
from logpipe.builtin.forward_protocol.events import Refused as Refused
from logpipe.builtin.forward_protocol.frame import Frame as Frame
from logpipe.builtin.forward_protocol.frame import Oversized as Oversized
from logpipe.builtin.forward_protocol.frames import FrameReader as FrameReader
from logpipe.builtin.forward_protocol.handshake import HANDSHAKE_LIMITS as HANDSHAKE_LIMITS
from logpipe.builtin.forward_protocol.handshake import Client as Client
from logpipe.builtin.forward_protocol.handshake import ClientHandshake as ClientHandshake
from logpipe.builtin.forward_protocol.handshake import RefusedError as RefusedError
from logpipe.builtin.forward_protocol.handshake import ServerHandshake as ServerHandshake
from logpipe.builtin.forward_protocol.limits import FrameLimits as FrameLimits
from logpipe.builtin.forward_protocol.limits import ProtocolError as ProtocolError
from logpipe.builtin.forward_protocol.messages import Message as Message
from logpipe.builtin.forward_protocol.messages import read_message as read_message
from logpipe.builtin.forward_protocol.messages import read_messages as read_messages
from logpipe.builtin.forward_protocol.options import Option as Option
