# Each target sets up what it needs in .venv first; README.md says what each is for.

VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/ready
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))

# Is this a Python that logpipe runs on?
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null

.PHONY: demo test static check bench docs faults kills soak

# Bytecode is written when a package is installed, but for an editable one by whoever runs it first, if he may.
COMPILE := $(RUN) -m compileall -q logpipe $(filter-out %.egg-info,$(wildcard plugins/*/logpipe_*))

demo: $(READY)
	@$(COMPILE)
	@$(RUN) -m examples.demo $(ARGS)

test: $(READY)
	$(RUN) -m pytest $(ARGS)

static: $(READY)
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy --strict logpipe $(filter-out %.egg-info,$(wildcard plugins/*/logpipe_*))
	$(VENV)/bin/lint-imports
	$(VENV)/bin/logpipe docs --check

check: static test

# The reference of every setting, from the Options classes; `make static` fails when it is not current.
docs: $(READY)
	$(VENV)/bin/logpipe docs

# LINES counts only on make's own command line: shells keep the height of the terminal in a variable of that name.
bench: $(READY)
	@$(COMPILE)
	@$(RUN) -m tests.benchmarks $(if $(findstring command,$(origin LINES)),--lines $(LINES)) $(ARGS)

# The fault matrix, row by row: ARGS="7 19 --short" for some rows, with less of each.
faults: $(READY)
	@$(COMPILE)
	@$(RUN) -m tests.faults matrix $(ARGS)

# Killed at every write, sync, rename, unlink and truncate of a small pipeline, one after the other.
kills: $(READY)
	@$(COMPILE)
	@$(RUN) -m tests.faults kills $(ARGS)

# The article's pipeline under kills, broker stops, rotations and full disks together.
soak: $(READY)
	@$(COMPILE)
	@$(RUN) -m tests.faults soak --minutes $(or $(MINUTES),30) $(ARGS)

$(READY): Makefile pyproject.toml $(PLUGINS:=/pyproject.toml)
	@$(RUN) $(NEW_ENOUGH) || { \
	  for python in python3 python3.14 python3.13 python3.12 python3.11 none; do \
	    $$python $(NEW_ENOUGH) && break; \
	  done; \
	  if [ $$python = none ]; then \
	    echo 'make: no python 3.11 or newer on the PATH: apt-get install python3' >&2; exit 1; \
	  fi; \
	  if ! $$python -c 'import ensurepip' 2>/dev/null; then \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	      echo "make: $$python has no venv, which Debian keeps in a package of its own: installing python3-venv" >&2; \
	      apt-get update -qq && apt-get install -qq -y --no-install-recommends python3-venv >/dev/null || exit 1; \
	    else \
	      echo "make: $$python cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; \
	    fi; \
	  fi; \
	  echo "make: setting up $(VENV) with $$python, which takes a minute"; \
	  $$python -m venv --clear $(VENV); \
	}
	@{ $(RUN) -m pip install --upgrade 'pip>=25.1' \
	&& $(RUN) -m pip install $(addprefix --editable ./,. $(PLUGINS)) --group dev; \
	} >$(VENV)/setup.log 2>&1 || { cat $(VENV)/setup.log >&2; exit 1; }
	@touch $@
