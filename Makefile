# The only commands a newcomer needs. Each gets what it needs first: virtual environments in .venvs, and by apt
# (when root) the servers and a browser. `make help` lists them.

PYTHON3 ?= python3
STORE ?= locmem
ARGS ?=

env = $(PYTHON3) tools/envs.py
need = $(PYTHON3) tools/machine.py
servers = redis postgresql mariadb memcached chromium mysqlclient

.DEFAULT_GOAL := help
.PHONY: help demo test prove bench lint format docs lock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

demo: ## Real places, read and written, every answer checked (STORE=locmem or redis)
	@$(if $(filter redis,$(STORE)),$(need) redis)
	@$(env) demo
	.venvs/demo/bin/python example/demo.py --store $(STORE) $(ARGS)

test: lint ## Lint, types, layers, then the tests on all corners (ARGS="-k name" goes to pytest)
	@$(need) $(servers)
	$(PYTHON3) tools/matrix.py $(ARGS)

prove: ## Every proof that takes long, on real servers (ARGS="--only mutation" runs one)
	@$(need) $(servers)
	@$(env) prove oldest
	.venvs/prove/bin/python -m provers $(ARGS)

bench: ## Everfresh beside other caches (ARGS="--full", ARGS="--only speed --delay-ms 0.5")
	@$(need) redis postgresql
	-@$(need) wrk
	@$(env) bench
	.venvs/bench/bin/python -m benchmarks $(ARGS)

lint: ## Style (ruff), types (mypy), layers (import-linter)
	@$(env) lint
	.venvs/lint/bin/ruff check .
	.venvs/lint/bin/ruff format --check .
	.venvs/lint/bin/python -m mypy
	.venvs/lint/bin/lint-imports --no-logo

format: ## Let ruff mend what it can
	@$(env) lint
	.venvs/lint/bin/ruff check --fix-only --quiet .
	.venvs/lint/bin/ruff format .

docs: ## The manual, in docs/_build/html
	@$(env) docs
	.venvs/docs/bin/python -m sphinx -n -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

lock: ## Take the newest releases of everything into locks/
	$(env) --lock

clean: ## Remove everything that these commands made
	rm -rf .cache .tools .venvs .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis docs/_build dist
