# All commands for developers and CI. `make` without a target lists them.

BIN := .venv/bin
ARGS ?=
TIMES ?= 30
# Test processes: one more than the cores of a small machine, because half of the time a test waits.
# A test file, or all of tests/cli with its shared demo, runs in one of them (tests/support/process_groups.py). WORKERS=auto uses every core.
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

# The tests start hundreds of processes. Without bytecode each compiles what it imports: that is 3 of the 5 CPU seconds of a small run.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo up local-model test test-all chaos chaos-fuzz chaos-outage fuzz fuzz-http browser real-kafka cluster-demo test-compiled test-load repeat bench bench-peers compare same-results measure stuck-bench check event-fields metrics tables alerts format image-check ci small-demo compile-tests release lock clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Create .venv with all packages for development (with uv if it is installed, else pip)
	@scripts/setup.sh dev

demo: ## Simulate users, run the whole engine on them, compare its estimates with the truth; ARGS="--users 500" for options
	@scripts/setup.sh
	@$(BIN)/onramp demo $(ARGS)

up: ## Run everything live on this machine, with a demo page; ARGS="--port 9000" for options
	@scripts/setup.sh
	@$(BIN)/onramp up $(ARGS)

local-model: ## Install a small model that runs on this machine, for `onramp demo --llm local`
	@scripts/local_model.sh

test: ## Run the tests in three processes; ARGS="-k words" selects tests, WORKERS=auto uses every core
	@scripts/setup.sh dev
	@$(PYTEST) $(ARGS)

test-all: ## Run all tests, also the long ones: more kills, more lines, more users
	@scripts/setup.sh dev
	@HYPOTHESIS_PROFILE=thorough $(PYTEST) -m '' $(ARGS)

fuzz: ## Run the fuzzers with 50 times as many inputs, 100,000 events among them; FUZZ=5 for fewer
	@scripts/setup.sh dev
	@FUZZ=$(or $(FUZZ),50) $(PYTEST) --timeout 3600 tests/fuzz $(ARGS)

fuzz-http: ## Fuzz the gateway by its OpenAPI description: fetches Schemathesis; ARGS="--seconds 600" for longer
	@scripts/setup.sh dev
	@scripts/fuzz_http.sh $(ARGS)

chaos: ## Run rounds of faults beside a run without and compare: ROUNDS=100 kills, SEED=1; FAULTS=all for stalls, full disk and bad network too
	@scripts/setup.sh dev
	@$(BIN)/python -m tests.chaos --rounds $(or $(ROUNDS),100) --seed $(or $(SEED),1) --faults $(or $(FAULTS),kills) $(ARGS)

chaos-fuzz: ## Send N=1000000 fuzzed messages through the whole job: each is accepted or a dead letter; SEED=1
	@scripts/setup.sh dev
	@$(BIN)/python -m tests.chaos.fuzz --count $(or $(N),1000000) --seed $(or $(SEED),1) $(ARGS)

chaos-outage: ## Take each store away for OUTAGE=60 seconds under RATE=2000 events/s, then both at once
	@scripts/setup.sh dev
	@$(BIN)/python -m tests.chaos.outage --seconds $(or $(OUTAGE),60) --rate $(or $(RATE),2000) $(ARGS)

browser: ## Build the browser snippet from gateway/browser/src: needs Node, fetches esbuild, Terser and TypeScript with npm
	@npm ci --prefix scripts/browser --ignore-scripts --no-audit --no-fund
	@node scripts/browser/build.mjs

real-kafka: ## Run the tests against a real Apache Kafka: needs Java 17, fetches Kafka's jars with Maven; ARGS="-k words" selects tests
	@scripts/setup.sh dev
	@scripts/real_kafka.sh $(ARGS)

cluster-demo: ## Run the job as two processes over a broker, kill one, and compare with a run without the kill; ARGS="--kill 0" for options
	@scripts/setup.sh dev
	@$(BIN)/python -m tests.support.cluster_demo $(ARGS)

test-compiled: ## Compile a copy of this tree and run the tests of the engine on it: needs a C compiler; ARGS="-k words" selects tests
	@scripts/setup.sh dev
	@scripts/test_compiled.sh -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(ARGS)

test-load: ## Run the tests beside two busy loops
	@scripts/setup.sh dev
	@scripts/under_load.sh $(PYTEST) $(ARGS)

repeat: ## Run the tests with threads, processes or deadlines 30 times, until one fails; TIMES=3 for fewer
	@scripts/setup.sh dev
	@for turn in $$(seq $(TIMES)); do echo "$$turn of $(TIMES)"; $(PYTEST) -q -m 'timing and not slow' $(ARGS) || exit 1; done

bench: ## Measure speed in a few minutes; SCENARIO=core runs one in full (docs/benchmarks.md), ARGS="--json" for options
	@scripts/setup.sh dev
	@$(BIN)/python -m benchmarks.speed $(or $(SCENARIO),short --repeat 1) $(ARGS)

bench-peers: ## Build the environments of Quix Streams and Faust in .peers, for SCENARIO=core
	@scripts/setup.sh dev
	@for peer in quix faust; do \
		[ -x .peers/$$peer/bin/python ] || $(BIN)/python -m venv .peers/$$peer || exit 1; \
		.peers/$$peer/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/speed/contenders/$$peer.txt || exit 1; \
	done

compare: ## Compare the speed of this tree with an earlier commit; ARGS="--base 3f9f2d7 --repeat 5" for options
	@scripts/setup.sh dev
	@$(BIN)/python -m benchmarks.compare $(ARGS)

same-results: ## Compare the decisions of this tree with an earlier commit, table by table; ARGS="--base 3f9f2d7" for options
	@scripts/setup.sh dev
	@$(BIN)/python -m benchmarks.same_results $(ARGS)

measure: ## Measure detection, choice and effects against the true values in every scenario (two hours); results in measurements/
	@scripts/setup.sh dev
	@mkdir -p measurements
	@for scenario in baseline messy misspecified bots cold drift harmful_arm new_arm; do \
		case $$scenario in \
			baseline) users=24700;; messy|bots) users=4000;; harmful_arm|new_arm|drift) users=40000;; *) users=16500;; \
		esac; \
		rm -f measurements/$$scenario.jsonl; \
		$(BIN)/python -m benchmarks.measure --scenario $$scenario --seeds $(or $(SEEDS),1000-1019) --users $$users --observer \
			--out measurements/$$scenario.jsonl >measurements/$$scenario.txt || exit 1; \
		cat measurements/$$scenario.txt; \
	done
	@for scenario in baseline no_effect; do \
		$(BIN)/python -m benchmarks.coverage_lift --scenario $$scenario --seeds 1000-1999 --users 300 >measurements/lift_$$scenario.txt || exit 1; \
		cat measurements/lift_$$scenario.txt; \
	done
	@$(BIN)/python -m benchmarks.coverage_off_policy --replications 1000 >measurements/off_policy.txt
	@cat measurements/off_policy.txt

stuck-bench: ## Measure stuck detection on 20 synthetic worlds, worst first; ARGS="--worlds 5 --seed 2 --json" for options
	@scripts/setup.sh
	@$(BIN)/python -m benchmarks.stuck $(ARGS)

check: ## Check lint, formatting and types
	@scripts/setup.sh dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck scripts/*.sh docker/*.sh .ci/run

event-fields: ## Write the table of fields in docs/events.md and docs/event.schema.json anew, from the code
	@scripts/setup.sh
	@$(BIN)/python scripts/write_event_fields.py
	@$(BIN)/python scripts/write_event_schema.py

metrics: ## Write the table of metrics in docs/metrics.md anew, from state/metrics.py
	@scripts/setup.sh
	@$(BIN)/python scripts/write_metrics.py

tables: ## Write the sections of docs/tables.md and sinks/clickhouse/schema.sql anew, from a database with all migrations
	@scripts/setup.sh
	@$(BIN)/python -m scripts.write_tables

alerts: ## Check alert rules and dashboards with Prometheus's own tools: fetches Debian's package of it where they are missing
	@scripts/setup.sh dev
	@scripts/prometheus.sh $(ARGS)

format: ## Format the code and apply safe fixes
	@scripts/setup.sh dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

image-check: ## Build the image without a container engine and run all commands of the README in it (installs all packages again)
	@scripts/setup.sh dev
	@$(BIN)/python -m pytest -m '' tests/test_dockerfile.py tests/test_image.py $(ARGS)

# The type checker uses one core. Meanwhile the demo runs, and one process compiles all tests, which else each test process does; then the
# engine is compiled and tested.
ci: ## Run what CI runs: the checks beside a small demo, the tests of the compiled engine, all tests (the image: make image-check)
	@scripts/setup.sh dev
	@HYPOTHESIS_PROFILE=short $(MAKE) --no-print-directory -j2 check compile-tests test-compiled ARGS=
	@HYPOTHESIS_PROFILE=short $(PYTEST) $(ARGS)

small-demo:
	@scripts/setup.sh dev
	@echo 'A small demo, its result as JSON:'
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT \
		&& $(BIN)/onramp demo --users 200 --days 7 --json --data-dir "$$dir/data" >"$$dir/result.json" \
		&& $(BIN)/python -m json.tool --compact "$$dir/result.json"

compile-tests: small-demo
	@said=$$($(BIN)/python -m pytest --collect-only -qqq) || { echo "$$said"; exit 1; }

release: ## Make the files of a release from a tag in dist/: wheel, sdist, image recipe, SBOM, checksums; TAG=v0.1.0
	@[ -n "$(TAG)" ] || { echo 'make release needs a tag: make release TAG=v0.1.0' >&2; exit 2; }
	@scripts/setup.sh dev
	@scripts/release.sh $(TAG)

lock: ## Update constraints.txt from pyproject.toml (needs uv); UPGRADE=--upgrade takes newer versions
	@command -v uv >/dev/null || { echo 'make lock needs uv.' >&2; exit 1; }
	@{ sed -n '/^#/p' constraints.txt; \
		{ [ -n "$(UPGRADE)" ] || cat constraints.txt; } > .constraints.old; \
		uv pip compile --quiet pyproject.toml --all-extras --universal --python-version 3.11 --fork-strategy fewest --no-emit-index-url \
			--no-header --no-annotate --constraint .constraints.old \
		| sed -E 's/ ;.*//; /^(colorama|httpx2-jsfetch)==/d'; } > .constraints.new \
		&& grep -q '==' .constraints.new && mv .constraints.new constraints.txt; \
		status=$$?; rm -f .constraints.old .constraints.new; exit $$status

clean: ## Remove .venv, caches and build output; keeps the data in .onramp
	rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
