"""`python -m logpipe`."""

import sys

from logpipe.cli import main

if __name__ == "__main__":
    sys.exit(main())
