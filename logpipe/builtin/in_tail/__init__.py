"""The tail input: follows log files through rotation, truncation and restarts.

    discovery ──asks──► following ──difference──► decide ──actions──► registry ──wakes──► schedule ──► reader
                            ▲                                            │
                  watch (inotify), look (disk)                         table ──settled──► checkpoints

- finding files: `options`, `targets` and `glob` (which paths are meant), `discovery` (when to look), `watch` and
  `inotify` (what is reported), `look` and `birth` (what is on the disk)
- following one: `folders` (where each file of a folder is, by the renames that were reported), `folder_looks` (what is
  new there), `difference` (what a look brings), `sightings` (several looks while files move),
  `decide` (what is done about it: pure), `following` (looks, decides, acts), `registry` and `table` (each path, a
  *trail*, and each of its files, a *generation*), `cuts` (files that were truncated, and their copies),
  `rotation_names`
- reading lines: `schedule` (who is next), `throttle`, `reader`, `reads` (many files in one visit to a thread),
  `logfile`, `archive` (compressed files), `open_files`, `lines`, `events`
- remembering positions: `generation` (what is owed), `checkpoints`, `saved` and `leftovers` (rows of an earlier run)
- accounting: `ledger`, `books`, `counts`, `complaints` (how often something is said)

`plugin` puts them together.
"""

from logpipe.builtin.in_tail.plugin import Tail

__all__ = ["Tail"]
