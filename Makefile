# demo, test, check and bench set up what they need in .venv; nothing has to be installed before but Python 3.11+.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS := 4
# Tests start hundreds of programs: without compiled files, each of them compiles all of micro_rt again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-mesh test test-lowest test-newest verify soak servers check docs bench generate format clean

help:            ## list what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(READY)   ## generate from a .proto, start servers, call them, kill one; then the same with events; change settings; lead; encrypt
	@$(BIN)/python examples/greeter/demo.py
	@$(BIN)/python examples/orders/demo.py
	@$(BIN)/python examples/live_config/demo.py
	@$(BIN)/python examples/leader/demo.py
	@$(BIN)/python examples/tls/demo.py

demo-mesh: $(READY) ## Python and Go nodes behind one Consul: call them, stop one, kill one (needs Go)
	@$(BIN)/python examples/mesh/demo.py

test: $(READY)   ## run every test, the long ones reduced, on the real servers that can be had (JOBS=1: one at a time)
	@$(BIN)/python -m tests.servers obtain || true
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal $(ARGS)

test-newest: $(READY) ## run the units, calls, contracts and security on the newest Python of this machine
	@$(BIN)/python -m tests.newest --numprocesses $(JOBS) --dist worksteal $(ARGS)

test-lowest: $(READY) ## run the units, calls and security with the lowest versions of the dependencies
	@$(BIN)/python -m tests.lowest --numprocesses $(JOBS) --dist worksteal $(ARGS)

verify: $(READY) ## run the long tests in full, part by part, for hours (ARGS="events", ARGS=--list, ARGS=--help)
	@$(BIN)/python -m tests.verify $(ARGS)

soak: $(READY)   ## three minutes of calls of every kind, a fifth of them cancelled, while servers are restarted
	@$(BIN)/python -m pytest -n0 --verify=failover tests/faults/test_soak.py $(ARGS)

servers: $(READY) ## start Consul, Kafka, PostgreSQL and etcd, and keep them until Ctrl-C
	@$(BIN)/python -m tests.servers $(ARGS)

check: $(READY)  ## format, lint, types, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m protoc_gen_micro.rendering.compile_templates --check
	$(BIN)/python -m tests.generated --check

docs: $(READY)   ## check the documentation, and build it as a site in build/docs
	$(BIN)/python -m pytest -q -n0 tests/unit/test_docs.py tests/packaging/test_readme.py
	rm -rf build/pages build/docs
	$(BIN)/python -m tests.docs build/pages
	$(BIN)/zensical build --strict

bench: $(READY)  ## measure against the peers, in one run
	$(BIN)/python -m benchmarks $(ARGS)

generate: $(READY)  ## write every generated file of the repository anew
	$(BIN)/python -m protoc_gen_micro.rendering.compile_templates
	$(BIN)/python -m tests.generated

format: $(READY) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:           ## remove what was set up and built
	rm -rf $(VENV) .venv-lowest .venv-newest .verify dist build .cache .pytest_cache .mypy_cache .ruff_cache

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one with make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)
