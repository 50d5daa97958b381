# `make lab` opens the course, `make test` proves it. Both make .venv the first time and install nothing after that.
# Flags for JupyterLab: make lab ARGS="--no-browser --port 9000". Another Python: make lab PYTHON=python3.13.

VENV ?= .venv
ARGS ?=
JOBS ?= 2
PYTHON ?=
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
UV = uv==0.13.9
# What somebody set for another project is not for the tests. (boot() takes a REDIS_URL only when TUTORIAL_CACHE=url.)
UNSET = env -u DATABASE_URL -u REDIS_URL -u RATES_URL -u CACHE_SETTINGS -u DJANGO_SETTINGS_MODULE -u DJANGO_DEBUG
NBVAL = $(BIN)/python -m pytest --nbval --nbval-current-env --nbval-cell-timeout 120 -n $(JOBS) --dist loadscope -q
SOURCES = $(wildcard notebooks/src/[0-9]*.py notebooks/src/index.py)
BOOKS = $(wildcard notebooks/*.ipynb notebooks/solutions/*.ipynb notebooks/instructor/*.ipynb)

.PHONY: lab test lint unit faults notebooks drift bench build slides requirements clean help

lab: $(STAMP)
	@$(BIN)/python -m tutorial_project.lab open $(ARGS)

test: lint unit notebooks drift
	@echo "All of it holds."

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(if $(SOURCES),$(BIN)/mypy --allow-redefinition $(SOURCES))

unit: $(STAMP)
	$(UNSET) $(BIN)/python -m pytest -p no:nbval -n auto --dist loadscope -q

# The claims' faults once more, on all the cells of their notebooks.
faults: $(STAMP)
	$(UNSET) COURSE_FAULTS=whole $(BIN)/python -m pytest -p no:nbval -n auto --dist loadscope -q tests/test_faults.py

# Every notebook is run and compared, its pages and pictures too, with the best cache server there is; those with every
# exercise solved again, with the server that is always there. The instructor's edition runs the same cells as the solved
# one, and shows the same outputs: the hygiene tests hold it to that, and it is not run again.
notebooks: $(STAMP)
ifneq ($(BOOKS),)
	$(UNSET) -u TUTORIAL_CACHE COMPARE=everything $(NBVAL) notebooks --ignore=notebooks/instructor
	$(UNSET) TUTORIAL_CACHE=fakeredis $(NBVAL) notebooks/solutions
else
	@echo "No notebook is built yet."
endif

# What stands in the notebooks is what their sources say; that its outputs are what it puts out, `notebooks` has seen.
drift: $(STAMP)
	$(BIN)/python notebooks/src/build.py --check --unrun

build: $(STAMP)
	$(UNSET) -u TUTORIAL_CACHE $(BIN)/python notebooks/src/build.py -j $(JOBS) $(ARGS)

# The libraries under the seven demands, into a table and data/bench-DATE.json: ten minutes at most, on a quiet machine.
# They are installed into a folder of their own. Some of it: make bench ARGS="protection dogpile_region --demands cold"
BENCH_VENV = .venv-bench
BENCH_STAMP = $(BENCH_VENV)/.installed

bench: $(BENCH_STAMP)
	$(UNSET) -u TUTORIAL_CACHE PYTHONPATH=.:tests $(BENCH_VENV)/bin/python -m bench.run $(ARGS)

$(BENCH_STAMP): tests/bench/requirements.txt | $(STAMP)
	$(BIN)/python -m venv --clear $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/bench/requirements.txt
	@touch $(BENCH_STAMP)

# The instructor's edition as slides, one HTML file a notebook; speaker notes with the key S.
slides: $(STAMP)
	@mkdir -p build/slides
	$(if $(wildcard notebooks/instructor/*.ipynb),$(BIN)/jupyter nbconvert --to slides --output-dir build/slides notebooks/instructor/*.ipynb,@echo "No notebook is built yet.")

requirements: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	@$(BIN)/uv pip compile --system-certs --universal --python-version 3.11 pyproject.toml --quiet --no-header --no-annotate > requirements.new
	@printf '\n-e .\n' >> requirements.new && mv requirements.new requirements.txt

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache tutorial_project.egg-info *.egg-info
	@echo "Kept: $(VENV), $(BENCH_VENV) and work/, which are yours to delete."

help:
	@sed -n '1,2s/^# //p' Makefile
	@echo "Also: bench, build, slides, faults, requirements, clean; the parts of test: lint, unit, notebooks, drift."

$(STAMP): requirements.txt pyproject.toml
	@touch .writable 2>/dev/null && rm -f .writable || { \
	  echo "This folder cannot be written to, and the course installs itself into it: copy it to a folder of yours." >&2; exit 1; }
	@python=; for candidate in $(or $(PYTHON),$(wildcard $(BIN)/python) python3 python3.14 python3.13 python3.12 python3.11); do \
	  if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "The course needs Python 3.11 or newer, and found $$($(or $(PYTHON),python3) --version 2>&1 | head -n 1): install a newer one, or say make lab PYTHON=/path/to/python3." >&2; exit 1; fi; \
	if ! [ -x $(BIN)/python ]; then \
	  echo "Making $(VENV) with $$($$python --version). This is done once and takes about a minute."; \
	  $$python -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "Python came without its venv module: on Debian or Ubuntu, apt install python3-venv." >&2; exit 1; }; \
	fi
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(VENV) was made with $$($(BIN)/python --version), and the course needs 3.11 or newer: delete the folder and try again." >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV) 2>/dev/null \
	  && $(BIN)/uv pip install --quiet --system-certs --compile-bytecode --python $(BIN)/python -r requirements.txt 2>$(VENV)/uv.log \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt \
	  || { echo "Installing the packages failed; the lines above say why. Mend it and run the same command again." >&2; exit 1; }
	@touch $(STAMP)
