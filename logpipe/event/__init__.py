"""What moves between stages: a batch of events, and the receipt that says what is owed for it.

`batch` is what every stage is given, with the receipt that counts who owes something; `lines` is the batch whose events
are still bytes, `encoded` what an output makes of either for its buffer.
"""

from logpipe.event.batch import Event as Event
from logpipe.event.batch import EventBatch as EventBatch
from logpipe.event.batch import Receipt as Receipt
from logpipe.event.batch import Record as Record
from logpipe.event.batch import Time as Time
from logpipe.event.encoded import Encoded as Encoded
from logpipe.event.encoded import Payloads as Payloads
from logpipe.event.encoded import joined as joined
from logpipe.event.encoded import lengths_of as lengths_of
from logpipe.event.encoded import pieces_in as pieces_in
from logpipe.event.encoded import size_of as size_of
from logpipe.event.lines import Const as Const
from logpipe.event.lines import Drop as Drop
from logpipe.event.lines import Edit as Edit
from logpipe.event.lines import LineBatch as LineBatch
from logpipe.event.lines import spans_of as spans_of
from logpipe.event.packed import unpack_records as unpack_records
from logpipe.event.tagging import by_tag as by_tag
