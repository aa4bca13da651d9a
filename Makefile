# make demo    the main job on real input, in under a minute
# make demo-aws  the AWS engine on this machine, from deploying to tearing down, in two minutes
# make test    every check, then the tests (what .ci/run runs)
# make slow    the tests that take minutes: a thousand kills, thousands of seeds
# make check   the checks alone: format, lint, types, import contracts, spelling, the stack that synth writes
# make stack   the last of these: AWS's linters and a security scan
# make bench   the benchmarks, each beside its peer
# make lock    requirement files anew, newest versions that fit
# make venv    the development environment alone
# make clean   away with everything that is made

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN = $(VENV)/bin
# AWS's own tools pin a boto3 that is not ours.
TOOLS ?= $(VENV)-tools
PYTHON_DIRS = $(wildcard src tests benchmarks examples scripts)

.PHONY: demo demo-aws test slow check stack bench lock venv clean
.DEFAULT_GOAL = test

venv:
	@$(PYTHON) scripts/venv.py $(VENV) requirements/dev.txt

demo:
	@$(PYTHON) scripts/venv.py $(VENV) requirements/base.txt
	@$(BIN)/python examples/demo/run.py

demo-aws:
	@$(PYTHON) scripts/venv.py $(VENV) requirements/aws.txt
	@$(BIN)/python examples/demo_aws/run.py

test: check
	$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup

slow: venv
	$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup -m slow --hypothesis-profile=deep

check: venv
	$(BIN)/ruff format --check $(PYTHON_DIRS)
	$(BIN)/ruff check $(PYTHON_DIRS)
	$(BIN)/mypy $(PYTHON_DIRS)
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell
	PATH="$(abspath $(BIN)):$$PATH" basedpyright --verifytypes rota --ignoreexternal
	@$(MAKE) --no-print-directory stack

stack: venv
	@$(PYTHON) scripts/venv.py $(TOOLS) requirements/tools.txt --without-project
	$(BIN)/python scripts/check_stack.py $(BIN) $(TOOLS)/bin tests/aws/deploy/named_targets.py

bench: venv
	@$(PYTHON) scripts/venv.py $(VENV) benchmarks/requirements.txt
	$(BIN)/python -m benchmarks

LOCK = $(BIN)/uv pip compile --quiet --upgrade --no-config --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header

# The widest file first: the narrower ones take their versions from it, so that no two of them disagree.
lock: venv
	$(LOCK) pyproject.toml --all-extras requirements/build.in --output-file requirements/dev.txt
	$(LOCK) pyproject.toml requirements/build.in --constraints requirements/dev.txt --output-file requirements/base.txt
	$(LOCK) pyproject.toml --extra aws --extra emulator requirements/build.in --constraints requirements/dev.txt --output-file requirements/aws.txt
	$(LOCK) benchmarks/requirements.in --constraints requirements/dev.txt --output-file benchmarks/requirements.txt
	$(LOCK) requirements/tools.in --output-file requirements/tools.txt

clean:
	rm -rf $(VENV) $(VENV).lock $(TOOLS) $(TOOLS).lock dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(PYTHON_DIRS) -name __pycache__ -type d -prune -exec rm -rf {} +
