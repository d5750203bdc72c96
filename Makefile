# run: the agent before a stand-in kube-dns · test: everything this machine can run · check: fast gate, of which lint is the part without tests
# compiled: the program as a wheel has it, in $(VENV)/compiled · test-interpreted, test-compiled: the halves of test
# image: the container image · manifest: deploy/nodelocaldns.yaml from its parts · lock: the image's packages
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test test-interpreted test-compiled compiled check lint format bench test-vm test-cluster scenario image manifest lock clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	$(BIN)/python -m compileall -q nodecache  # pip does so for what it copies; a start would have to
	touch $@

$(VENV)/.dev: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check $$($(PYTHON) -c 'import tomllib; print(*(f"\"{d}\"" for d in tomllib.load(open("pyproject.toml","rb"))["dependency-groups"]["dev"]))' | tr -d '"')
	touch $@

run: $(STAMP)
	$(BIN)/python -m nodecache.demo

# The program as `pip install .` makes it: what every query goes through is machine code.
COMPILED := $(VENV)/compiled

$(VENV)/.compiled: $(VENV)/.dev deploy/compile.py $(shell find nodecache -name '*.py')
	rm -rf $(COMPILED) $(filter-out build/vm build/image,$(wildcard build/*))
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target $(COMPILED) .
	touch $@

compiled: $(VENV)/.compiled

test: test-interpreted test-compiled

test-interpreted: $(VENV)/.dev
	$(BIN)/python -m pytest $(if $(T),-k '$(T)')

# The image is compiled anyway; the others test the keeper and its rules, doctor, alerts and completion,
# of which nothing is.
SAME_IF_COMPILED := image manifest_on_node \
	host_errors host_fail_open host_filters host_privileges host_repairs doctor alerts_live completion

# The tests of what is compiled, and all that start the real command, with the compiled program
# before the sources on the path, in every process.
test-compiled: $(VENV)/.compiled
	PYTHONSAFEPATH=1 PYTHONPATH=$(abspath $(COMPILED)):$(CURDIR) NODECACHE_TEST_COMPILED=1 \
		$(BIN)/python -m pytest -o 'pythonpath=$(COMPILED) .' -m 'not vm and not cluster' $(if $(T),-k '$(T)') \
		tests/wire tests/cache tests/forward tests/server tests/scenarios tests/fuzz tests/system \
		$(patsubst %,--ignore tests/system/test_%.py,$(SAME_IF_COMPILED))

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint
	$(BIN)/python -m pytest -q -m 'not system and not vm and not cluster'

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

scenario: $(VENV)/.dev
	$(BIN)/python -m tests.scenarios $(NAME)

test-vm: $(VENV)/.dev
	$(BIN)/python -m pytest -m vm

test-cluster: $(VENV)/.dev
	$(BIN)/python -m pytest -m cluster -rs

bench: $(VENV)/.compiled
	$(BIN)/python -m bench $(ARGS)

IMAGE ?= nodecache:$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

image:
	docker build --tag $(IMAGE) .

PARTS := $(addprefix deploy/base/,serviceaccount.yaml services.yaml configmap.yaml daemonset.yaml)

manifest: deploy/nodelocaldns.yaml

deploy/nodelocaldns.yaml: $(PARTS) Makefile
	echo "# Made of deploy/base/ by \`make manifest\`. README.md tells how to fill in the placeholders." >$@
	for part in $(PARTS); do test $$part = $(firstword $(PARTS)) || echo ---; cat $$part; done >>$@

lock:
	uv pip compile pyproject.toml --extra endpointslices --quiet --generate-hashes --universal --python-version 3.11 \
		--custom-compile-command 'make lock' --output-file deploy/requirements.txt
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml","rb"))["build-system"]["requires"], sep="\n")' | \
		uv pip compile - --quiet --generate-hashes --universal --python-version 3.11 \
		--custom-compile-command 'make lock' --output-file deploy/build-requirements.txt

clean:
	rm -rf $(VENV) build dist *.egg-info
