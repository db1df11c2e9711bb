"""A door for stages that run commands: a child process is started, fed, read, watched and stopped.

child.py    the child: its pipes, its end, and the end of all that it has started
pipes.py    what is written to it and read from it, without ever blocking the loop
guard.py    the process that kills the children of one that was killed

A stage makes a `Child` by `Child.start`, and ends it by `end` in its `stop` at the latest. The command is the
operator's: what an event says goes to a child over its standard input or in a file, and never into the command.
"""

from logpipe.processes.child import Child as Child
from logpipe.processes.child import ChildOver as ChildOver
from logpipe.processes.child import Exit as Exit
