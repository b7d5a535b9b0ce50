# make install   .venv with what a user needs   make test      the linters and the quick tests
# make demo      the chain on a throw-away pod  make test-all  the tests that take seconds each
# make bench     side by side with other tools  make soak      the long checks, and then
# make docs      the site, in site/             make mutants   a kept list of bugs: does a test fail for each?
# make demo-quick   without a pod, in 10 s: a lost box is found from pictures
PYTHON ?= python3
BIN := .venv/bin
SHIPPED := being_remote/errors.py being_remote/media/picture.py being_remote/camera being_remote/pod \
           $(addprefix being_remote/tracker/,begin.py box_file.py camera_blocks.py finish.py frame_file.py layout.py \
           plain_pickle.py sequence.py pickle_skeleton.py frame_entries.py torch_file.py torch_zip.py)

.PHONY: install install-for-tests system system-for-tests demo demo-quick lint test test-all soak mutants bench docs \
        clean

install: .venv/installed

# and what the tests, the linters and the comparisons are made with
install-for-tests: .venv/installed-for-tests

PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo 'installing what Being Remote needs into .venv: a minute or two, of which torch is most (750 MB)'
	@$(PIP_INSTALL) -e .
	@touch $@

.venv/installed-for-tests: .venv/installed
	@echo 'installing what the tests need into .venv: about a minute'
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; name it: make PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || sh .ci/system
	$(PYTHON) -m venv .venv

# ssh, sshd and rsync from the system's packages, where they are missing
system:
	@sh .ci/system

# and the browser that the tests open the report page in
system-for-tests:
	@sh .ci/system tests

demo: system install
	@$(BIN)/being-remote demo

demo-quick: install
	@$(BIN)/being-remote demo --quick

lint: install-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/vermin --quiet --no-tips --violations --target=3.8- $(SHIPPED)

test: system-for-tests install-for-tests lint
	$(BIN)/pytest -n 4 --dist worksteal -m 'not slow and not soak' --durations=10

test-all: system-for-tests install-for-tests
	$(BIN)/pytest -n 4 --dist worksteal -m 'slow and not soak' --durations=10

soak: system-for-tests install-for-tests
	$(BIN)/pytest -m soak --timeout 3600
	$(MAKE) mutants

mutants: system-for-tests install-for-tests
	$(BIN)/python tests/mutants/run.py

bench: system install-for-tests
	$(BIN)/python bench/run.py

docs: .venv/docs-installed
	PATH="$(CURDIR)/$(BIN):$$PATH" NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open site/index.html"

.venv/docs-installed: pyproject.toml constraints.txt | .venv/installed
	@echo 'installing what the site needs into .venv'
	@$(PIP_INSTALL) -e '.[docs]'
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info demo-out site
