"""The worlds there are: each a configuration, with the events whose orders matter there."""

from __future__ import annotations

from typing import Final

from tests.simulation import forwarding, senders
from tests.simulation.world import World

_NONE: Final = "@type none"


def tail(path: str = "app.log", settings: str = "read_from_head true", parse: str = _NONE) -> str:
    """Return a source; times are short, since each second of them is simulated."""
    return f"""
<source>
  @type tail
  path /PLACE/logs/{path}
  pos_file /PLACE/state/pos
  tag t
  path_key path
  refresh_interval 2s
  rotate_wait 2s
  {settings}
  <parse>
    {parse}
  </parse>
</source>
"""


def scripted(name: str = "out", buffer: str = "@type memory", arg: str = "", more: str = "") -> str:
    """Return the inside of an output with a buffer."""
    return f"""
  @type scripted
  name {name}
  <buffer {arg}>
    {buffer}
    flush_interval 1s
    retry_wait 1s
    retry_max_interval 4s
    {more}
  </buffer>
"""


def match(inside: str) -> str:
    """Return a `<match>` of everything."""
    return f"<match t>{inside}</match>\n"


ERROR_LABEL: Final = f"<label @ERROR>\n<match **>{scripted('rescue')}</match>\n</label>\n"


def forward(buffer: str) -> str:
    """Return the inside of an output that forwards, and waits for acknowledgements."""
    return f"""
  @type forward
  require_ack_response true
  ack_response_timeout 3s
  heartbeat_type none
  recover_wait 1s
  <server>
    host 127.0.0.1
    port {forwarding.PORT}
  </server>
  <buffer>
    {buffer}
    flush_interval 1s
    retry_wait 1s
    retry_max_interval 4s
  </buffer>
"""


def listening(kind: str, more: str = "") -> str:
    """Return a source that senders connect to."""
    return f"""
<source>
  @type {kind}
  bind 127.0.0.1
  port {senders.PORT}
  {more}
</source>
"""


COPY: Final = """
  @type copy
  <store>{}</store>
  <store>{}</store>
"""

CRASHES: Final = ("crash:1", "crash:2", "crash:7", "crash:20", "die:1", "die:2", "die:4")
MOODS: Final = ("out:fail", "out:fail1", "out:lost", "out:part", "out:silent", "out:slow", "out:cancel", "out:ok")
WRITING: Final = ("append", "append:app.log:5", "half", "rotate", "cut", "delete", "create", "move")
SENDING: Final = ("send", "send:5", "sender:deaf", "sender:gone", "sender:torn", "sender:ok")
RUNNING: Final = ("restart", "crash", "reload", "flush", "stop", "start", "wait", "tick")

_ALL: Final = (
    World(
        name="memory",
        about="tail, a buffer in memory, one output",
        config=tail() + match(scripted()),
        actions=("append", "rotate", "out:fail1", "out:lost", "restart", "crash", "crash:3"),
        also=("half", "poison", *CRASHES, *MOODS, *RUNNING),
    ),
    World(
        name="direct",
        about="tail and an output without a buffer",
        config=tail() + match("\n  @type scripted_direct\n"),
        actions=("append", "rotate", "out:fail1", "out:cancel", "restart", "crash:3"),
        also=("half", *CRASHES, *MOODS, *RUNNING),
    ),
    World(
        name="files",
        about="what happens to one followed file, and to those that it was",
        config=tail() + match(scripted()),
        actions=("append", "half", "rotate", "cut", "delete", "create", "restart"),
        lengths=(4, 3),
        also=(*WRITING, *RUNNING, "crash:7", "append:app.log.1"),
    ),
    World(
        name="polling",
        about="the same where inotify reports nothing",
        config=tail(settings="read_from_head true\n  enable_stat_watcher false") + match(scripted()),
        actions=("append", "rotate", "create", "move", "restart", "tick"),
        lengths=(5, 3),
        also=(*WRITING, *RUNNING, "crash:7"),
    ),
    World(
        name="sibling",
        about="a file that nobody asked for lies there under a rotated name, and is written to",
        config=tail(settings="read_from_head false") + match(scripted()),
        opening=("append:app.log.1", "append", "wait:60", "start", "wait"),
        from_end=True,
        actions=("append", "sibling", "rotate", "restart", "crash", "reload"),
        lengths=(4, 3),
        also=(*RUNNING, "crash:7"),
    ),
    World(
        name="glob",
        about="rotated names are followed themselves, but for an excluded one",
        config=tail("app.log*", 'read_from_head true\n  exclude_path ["/PLACE/logs/app.log.9"]') + match(scripted()),
        follows=("app.log*",),
        excluded=("app.log.9",),
        opening=("append:app.log:5", "append:app.log.9", "start", "wait"),
        actions=("append", "rotate", "move", "append:app.log.1", "stop", "start"),
        lengths=(5, 3),
        also=(*RUNNING, "append:app.log.9", "crash:7", "delete:app.log.1"),
    ),
    World(
        name="absent",
        about="the folder is away and comes back: a disk that is mounted late",
        config=tail() + match(scripted()),
        actions=("append", "away", "back", "stop", "start", "rotate"),
        lengths=(6, 3),
        also=(*RUNNING, "crash:7", "die:2", "wait:70"),
    ),
    World(
        name="days",
        about="a path with the date in it, and midnight",
        config=tail("app-%Y%m%d.log", "read_from_head true\n  path_timezone +00:00") + match(scripted()),
        follows=("app-%Y%m%d.log",),
        opening=("today", "start", "wait"),
        actions=("today", "day", "stop", "start", "yesterday"),
        paces=(3.0,),
        lengths=(5,),
        also=(*RUNNING, "crash:7"),
    ),
    World(
        name="stores",
        about="a copy to two outputs with buffers in files",
        config=tail()
        + match(
            COPY.format(
                scripted("a", "@type file\n    path /PLACE/state/a"),
                scripted("b", "@type file\n    path /PLACE/state/b"),
            )
        ),
        outputs=("a", "b"),
        keeps=True,
        actions=("append", "rotate", "out:fail1:a", "out:lost:b", "restart", "crash:3", "die:2"),
        lengths=(4, 3),
        also=(*CRASHES, *MOODS, *RUNNING, "out:fail:a", "out:silent:b", "eio:fdatasync", "full:a", "full:b", "space"),
    ),
    World(
        name="power",
        about="a buffer in files, and power cuts that leave only what was synced",
        config=tail() + match(scripted(buffer="@type file\n    path /PLACE/state/out")),
        keeps=True,
        slack=frozenset({"repeats", "letters"}),
        actions=("append", "power", "power:1", "power:2", "power:4", "rotate"),
        lengths=(4, 2),
        also=("power:3", "power:5", "power:7", "power:9", "poison", "out:fail", "out:ok", "full", "space", *RUNNING),
    ),
    World(
        name="letters",
        slack=frozenset({"letters"}),
        about="events that are refused become dead letters, on a disk that fills up",
        config=tail() + match(scripted()),
        actions=("poison", "append", "full:letters", "space", "restart", "power"),
        lengths=(4, 3),
        also=("eio:fdatasync", "eio:write", "out:refuse", "power:1", "power:2", "power:4", *CRASHES, *MOODS, *RUNNING),
    ),
    World(
        name="errors",
        about="what is refused goes to @ERROR, and may be refused there again",
        config=tail() + match(scripted()) + ERROR_LABEL,
        rescue=("rescue",),
        slack=frozenset({"letters"}),
        actions=("poison", "append", "out:refuse:out", "out:ok", "restart", "crash:7"),
        lengths=(4, 3),
        also=("out:fail:rescue", "out:refuse:rescue", "full:letters", "space", *CRASHES, *MOODS, *RUNNING),
    ),
    World(
        name="retries",
        about="chunks that are given up after two attempts",
        config=tail() + match(scripted(more="retry_max_times 2\n    chunk_limit_size 500")),
        opening=("append", "start", "wait", "out:fail"),
        actions=("append:app.log:6", "wait:6", "out:ok", "restart", "full:letters"),
        lengths=(5, 3),
        also=("append", "space", "out:fail", "out:fail1", *CRASHES, *RUNNING),
        paces=(0.0, 1.5),
        slack=frozenset({"letters"}),
        attempts=3,
    ),
    World(
        name="picky",
        about="a filter that fails on events, of which more come than may wait for a disk that is full",
        config=tail(settings="read_from_head true\n  read_lines_limit 4")
        + "<filter t>\n  @type picky\n</filter>\n"
        + match(scripted()),
        actions=("append", "poison:app.log:20", "poison", "full:letters", "space", "restart", "eio:fdatasync"),
        lengths=(4, 3),
        also=("eio:write", "power", "power:2", "rotate", *CRASHES, *RUNNING),
    ),
    World(
        name="cuts",
        about="a file that is cut and written anew, and a crash at any step on the disk",
        config=tail() + match(scripted()),
        actions=("append:app.log:2", "cut", *(f"die:{number}" for number in range(1, 13))),
        paces=(0.0, 0.6),
        slack=frozenset({"repeats"}),
        lengths=(3, 2),
        also=("append", "rotate", *RUNNING),
    ),
    World(
        name="times",
        slack=frozenset({"letters", "held"}),  # what a crash repeats waits for the end of its day
        about="lines that say their time, in slices of time",
        config=tail(parse="@type json\n    time_type unixtime\n    keep_time_key true")
        + match(scripted(arg="time", buffer="@type memory\n    timekey 1d\n    timekey_wait 0")),
        opening=("when:1900000000", "start", "wait"),
        actions=("when:1900000000", "when:-62167219201", "when:1e18", "flush", "restart", "crash"),
        lengths=(3, 3),
        also=(*RUNNING, "out:fail1", "crash:7"),
        ordered=False,
    ),
    World(
        name="overflow",
        about="more lines at once than a buffer holds that drops the oldest, and an output that takes them all",
        config=tail(settings="read_from_head true\n  read_lines_limit 4")
        + match(
            scripted(more="chunk_limit_size 1000\n    total_limit_size 4000\n    overflow_action drop_oldest_chunk")
        ),
        actions=("append:app.log:40", "append", "restart", "rotate", "crash"),
        lengths=(4, 3),
        also=(*RUNNING, "crash:7"),
    ),
    World(
        name="acks",
        about="tail and an output that forwards, to a server whose acknowledgements are late, lost, or never made",
        config=tail() + match(forward("@type memory")),
        network="server",
        actions=("append", "out:lost", "out:slow", "out:fail1", "restart", "crash", "crash:7"),
        lengths=(4, 3),
        also=("rotate", *CRASHES, "out:fail", "out:part", "out:silent", "out:ok", *RUNNING),
    ),
    World(
        name="forwarded",
        about="a sender that forwards, and sends again what is not acknowledged, before a buffer in files",
        config=listening("forward") + match(scripted(buffer="@type file\n    path /PLACE/state/out")),
        network="forward",
        keeps=True,
        opening=("send", "start", "wait"),
        actions=("send", "sender:gone", "out:lost", "restart", "reload", "crash", "crash:7"),
        lengths=(4, 3),
        also=(*SENDING, *CRASHES, *MOODS, *RUNNING, "full", "space", "eio:fdatasync"),
    ),
    World(
        name="kept",
        about="the same before a buffer in memory",
        config=listening("forward") + match(scripted()),
        network="forward",
        opening=("send", "start", "wait"),
        actions=("send", "sender:deaf", "out:fail1", "restart", "reload", "crash", "crash:7"),
        lengths=(4, 3),
        also=(*SENDING, *CRASHES, *MOODS, *RUNNING),
    ),
    World(
        name="posted",
        about="a sender by HTTP, who is told 200 when it is safe, and sends again what has no such answer",
        config=listening("http", "answer_when settled") + match(scripted()),
        network="http",
        opening=("send", "start", "wait"),
        actions=("send", "sender:gone", "out:lost", "restart", "reload", "crash", "crash:7"),
        lengths=(4, 3),
        also=(*SENDING, *CRASHES, *MOODS, *RUNNING),
    ),
)

WORLDS: Final = {world.name: world for world in _ALL}
