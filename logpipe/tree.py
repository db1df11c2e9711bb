"""A door for stages that read sections as written: the configuration's tree, routes, messages, places, tags."""

from logpipe.config.declare import Explained as Explained
from logpipe.config.diagnostic import Diagnostic as Diagnostic
from logpipe.config.diagnostic import Position as Position
from logpipe.config.diagnostic import Report as Report
from logpipe.config.element import Element as Element
from logpipe.config.element import Param as Param
from logpipe.plugin import Way as Way
from logpipe.tag_pattern import compile_pattern as compile_pattern
from logpipe.tag_pattern import problem_of_tag as problem_of_tag
