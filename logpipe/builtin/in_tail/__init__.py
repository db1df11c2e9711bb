"""The tail input: follows log files through rotation, truncation and restarts.

       plugin ──paths──► following ──what was found──► decide ──actions──► registry ──wakes──► schedule ──► reader
                             ▲                                                │                                │
                 watch (inotify), disk (looks)                 table (paths and their files) ◄── positions ────┘
                                                                              │
                                                                   checkpoints ──► position_file

- finding files: `options`, `paths` (which are meant), `plugin` (when to look, and the stage), `watch` (what inotify
  reports), `disk` (what is there)
- following one: `folders` (where each file of a folder is, by the renames that were reported), `decide` (what is done
  about what was found: pure), `following` (looks, decides, acts), `table` (each path, a *trail*, and its files),
  `generation` (one file of a path), `registry` (carries out what was decided), `cuts` (truncated files, their copies)
- reading lines: `schedule` (who is next, how fast), `reader`, `open_files` (and many reads in one visit to a thread),
  `logfile`, `archive` (compressed files), `lines` (bytes to lines to events), `joining` (events of several lines)
- remembering: `checkpoints` (what an earlier run left, what lay in folders, when it is written)
- `accounting`: counters, the books of each path, limits on messages
"""

from logpipe.builtin.in_tail.plugin import Tail

__all__ = ["Tail"]
