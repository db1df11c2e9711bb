# Each target sets up what it needs in .venv first; README.md says what each is for.

VENV := .venv
RUN := $(VENV)/bin/python
DEV := $(VENV)/dev
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))

# Is this a Python that logpipe runs on?
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null

.PHONY: demo test test-newest test-oldest test-python static check bench docs faults kills soak fuzz simulate mutants lock

# Bytecode is written when a package is installed, but for an editable one by whoever runs it first, if he may.
COMPILE := $(RUN) -m compileall -q logpipe $(filter-out %.egg-info,$(wildcard plugins/*/logpipe_*))

demo: $(VENV)/demo
	@$(COMPILE)
	@$(RUN) -m examples.demo $(ARGS)

# Thousands of short processes: each would compile all modules anew where the environment forbids to write bytecode.
test: $(DEV)
	@$(COMPILE)
	@PYTHONDONTWRITEBYTECODE= $(RUN) -m pytest $(ARGS)

# The whole suite, in an environment of its own, with the newest releases there are and with the oldest that the
# pyproject.toml files allow. Those have no wheels for later Pythons.
newest := highest --python $(RUN)
oldest := lowest-direct --python 3.11
test-newest test-oldest: test-%: $(DEV)
	@$(RUN) -m uv venv --quiet --clear --no-python-downloads $(wordlist 2,3,$($*)) .venv-$*
	@$(RUN) .ci/lock.py show | $(RUN) -m uv pip install --quiet --python .venv-$* --resolution $(firstword $($*)) -r -
	@$(RUN) -m uv pip install --quiet --python .venv-$* --no-deps --no-build-isolation $(dev_PROJECTS)
	@PYTHONDONTWRITEBYTECODE= .venv-$*/bin/python -m pytest $(ARGS)

# As a newcomer has it, in a new Debian with Python 3.11, 3.13 or 3.14: make test-python PYTHON=3.14 ARGS=tests/config
test-python:
	.ci/test-python $(PYTHON) $(ARGS)

# Writes anew, with the newest releases, what everything is installed from.
lock: $(DEV)
	$(RUN) .ci/lock.py write

static: $(DEV)
	$(RUN) .ci/lock.py check
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy --strict logpipe $(filter-out %.egg-info,$(wildcard plugins/*/logpipe_*))
	$(VENV)/bin/lint-imports
	$(VENV)/bin/logpipe docs --check

check: static test

# The reference of every setting, from the Options classes; `make static` fails when it is not current.
docs: $(DEV)
	$(VENV)/bin/logpipe docs

# LINES counts only on make's own command line: shells keep the height of the terminal in a variable of that name.
bench: $(DEV)
	@$(COMPILE)
	@$(RUN) -m tests.benchmarks $(if $(findstring command,$(origin LINES)),--lines $(LINES)) $(ARGS)

# The fault matrix, row by row: ARGS="7 19 --short" for some rows, with less of each.
faults: $(DEV)
	@$(COMPILE)
	@$(RUN) -m tests.faults matrix $(ARGS)

# Killed at every write, sync, rename, unlink and truncate of a small pipeline, one after the other.
kills: $(DEV)
	@$(COMPILE)
	@$(RUN) -m tests.faults kills $(ARGS)

# Odd lines through whole pipelines of any settings: ARGS="--seconds 60", "--seed 7 --cases 1" for one case again;
# ARGS="--decoders --seconds 600" for bytes from the network.
fuzz: $(DEV)
	@$(COMPILE)
	@$(RUN) -m tests.fuzz $(ARGS)

# The engine in simulated time: WORLD=memory, SEED=7, SECONDS=60, or ARGS="--every" for all short orders of events.
simulate: $(DEV)
	@$(COMPILE)
	@$(RUN) -m tests.simulation $(addprefix --world ,$(WORLD)) $(addprefix --seed ,$(SEED)) \
	  $(addprefix --seconds ,$(if $(SECONDS),$(SECONDS),$(if $(findstring --,$(ARGS)),,60))) $(ARGS)

# Mistakes are planted one by one, and those named that no test notices: ARGS="--seed 7 --count 120 --jobs 2".
mutants: $(DEV)
	@$(RUN) -m tests.mutants $(ARGS)

# The article's pipeline under kills, broker stops, rotations and full disks together.
soak: $(DEV)
	@$(COMPILE)
	@$(RUN) -m tests.faults soak --minutes $(or $(MINUTES),30) $(ARGS)

# The demo needs less than the tests do. Both come from the lock with uv where it is, and with pip where it is not.
demo_PROJECTS := $(addprefix --editable ./,. plugins/logpipe-kafka plugins/logpipe-kubernetes)
dev_PROJECTS := $(addprefix --editable ./,. $(PLUGINS))
INSTALL = $(if $(shell uv --version 2>/dev/null),uv pip install --python $(RUN),$(RUN) -m pip install)

$(VENV)/demo $(DEV): $(VENV)/%: requirements/%.txt $(VENV)/pyvenv.cfg Makefile pyproject.toml $(PLUGINS:=/pyproject.toml)
	@echo "make: installing requirements/$*.txt into $(VENV), which takes a minute"
	@{ $(INSTALL) --require-hashes -r $< \
	&& $(INSTALL) --no-deps --no-build-isolation $($*_PROJECTS); \
	} >$(VENV)/setup.log 2>&1 || { cat $(VENV)/setup.log >&2; exit 1; }
	@touch $(VENV)/demo $@

# Made anew when its Python has gone, or the lock was written anew: nothing of before is left over.
$(VENV)/pyvenv.cfg: requirements/dev.txt $(if $(shell $(RUN) $(NEW_ENOUGH) && echo good),,always)
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11) none; do \
	  $$python $(NEW_ENOUGH) && break; \
	done; \
	if [ $$python = none ]; then \
	  echo 'make: no python 3.11 or newer on the PATH: apt-get install python3' >&2; exit 1; \
	fi; \
	if ! $$python -c 'import ensurepip' 2>/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "make: $$python has no venv, which Debian keeps in a package of its own: installing python3-venv" >&2; \
	    export DEBIAN_FRONTEND=noninteractive; \
	    apt-get update -qq && apt-get install -qq -y --no-install-recommends python3-venv >/dev/null || exit 1; \
	  else \
	    echo "make: $$python cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; \
	  fi; \
	fi; \
	$$python -m venv --clear $(VENV)

.PHONY: always
always:
