# run: the agent before a stand-in kube-dns · test: everything this machine can run · check: fast gate
# image: the container image · manifest: deploy/nodelocaldns.yaml from its parts · lock: the image's packages
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test check format bench test-vm test-cluster scenario image manifest lock clean

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

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(if $(T),-k '$(T)')

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
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

bench: $(VENV)/.dev
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
	uv pip compile pyproject.toml --quiet --generate-hashes --universal --python-version 3.11 \
		--custom-compile-command 'make lock' --output-file deploy/requirements.txt

clean:
	rm -rf $(VENV) build dist *.egg-info
