"""A door for stages that read sections as they were written: the configuration's tree, routes, messages and places."""

from logpipe.config.declare import Explained as Explained
from logpipe.config.diagnostic import Diagnostic as Diagnostic
from logpipe.config.diagnostic import Position as Position
from logpipe.config.diagnostic import Report as Report
from logpipe.config.element import Element as Element
from logpipe.plugin import Way as Way
