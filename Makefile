# `make run` and `make test` set up what they need themselves; `make help` lists the rest.

IN_VENV = .venv/bin/python
CARGO = cargo
PORT = 8000
ENGINE = --manifest-path engine/Cargo.toml --locked
# The engine's tests leave its Python face out, so that they link without a Python library.
PURE = $(ENGINE) --no-default-features
export PYO3_PYTHON = $(CURDIR)/.venv/bin/python

.PHONY: help setup run test check pictures format bench torture clean
.PHONY: check-format check-lint check-types check-engine check-floors check-audit check-web

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r target meaning; do \
		printf '%-14s%s\n' "$$target" "$$meaning"; done

setup: ## Make .venv with pinned packages and build the engine; does nothing when nothing changed
	@scripts/setup

run: setup ## Start the server with a simulated market; PORT=8001 chooses another port
	@exec .venv/bin/ordertape demo --port $(PORT)

test: setup ## Run every test: the engine's, the page's, then Python's
	$(CARGO) test $(PURE)
	@scripts/web test
	@scripts/web browser
	$(IN_VENV) -m pytest -n 2 --dist loadfile --max-worker-restart 0

check: check-format check-lint check-types check-engine check-floors check-audit check-web ## Look without running: format, lint, types, floors, advisories

check-format: setup
	$(IN_VENV) -m ruff format --check .
	$(CARGO) fmt --manifest-path engine/Cargo.toml --check
check-lint: setup
	$(IN_VENV) -m ruff check .
check-types: setup
	$(IN_VENV) -m mypy
	$(IN_VENV) -m mypy.stubtest ordertape._engine --ignore-disjoint-bases --allowlist engine/stubtest-allowlist.txt
check-engine: setup
	$(CARGO) clippy $(ENGINE) --all-targets -- -D warnings
check-floors: setup
	$(IN_VENV) -m pytest -q tests/test_house.py
check-audit: setup
	$(IN_VENV) scripts/audit.py
	$(IN_VENV) -m pytest -q tests/test_security_audit.py

check-web: setup
	@scripts/web check

pictures: setup ## Draw the pictures of the web page in docs/pictures anew
	@scripts/web browser
	$(IN_VENV) scripts/pictures.py

format: setup ## Put Python and Rust into their one format and renew the generated tables
	$(IN_VENV) -m ruff format .
	$(IN_VENV) -m ruff check --fix .
	$(CARGO) fmt --manifest-path engine/Cargo.toml
	$(IN_VENV) scripts/tables.py --write

bench: setup ## Measure engine, venue, journal, archive and rebuild against their peers
	$(IN_VENV) -m bench

torture: setup ## Try every promise many times over; docs/reliability.md says what came of it
	$(IN_VENV) -m pytest -m torture; status=$$?; $(IN_VENV) scripts/reliability.py; exit $$status

clean: ## Remove what setup, tests and builds made; data and data-demo stay
	rm -rf .venv build dist engine/target web/node_modules src/ordertape/web .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f src/ordertape/_engine*.so
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
