# `make run` and `make test` are all that a fresh Debian machine with Rust, make and a C compiler needs.

# Cargo's own folder for a shell that has not read its profile yet; sbin because Debian keeps mosquitto there.
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/local/sbin:/usr/sbin
# What apt says stays the same whatever the machine speaks.
export LC_ALL := C.UTF-8

CARGO_DENY_VERSION := 0.20.2
TOOLS := target/tools
PREPARE := target/prepare
NPM_TOOLS := $(CURDIR)/$(TOOLS)/npm/node_modules
# Beside the modules, so that it finds them.
CLIENT := $(TOOLS)/npm/client
SCHEMATHESIS := $(TOOLS)/schemathesis/bin/schemathesis
PYTHON := target/python
ROUNDS := 100
KILLS := 1000
SEED := 1
HOURS := 1
FUZZ_SECONDS := 60
# Where cargo leaves what it builds: `make binary` what is tested, `make bench-build` what is measured.
BUILT := $(or $(CARGO_TARGET_DIR),target)
DEBUG := $(BUILT)/debug
RELEASE := $(BUILT)/release
SCALE := 1
LOAD := patch
# What is tested is built once, with failpoints for the lab; they do nothing where no test asks for them.
TESTED := --locked --features failpoints
# The dev-dependencies ask more features of crates that the service needs too. `--examples`, of which there are none, makes them
# count in builds without tests: otherwise a hundred crates would be built twice.
WITH_DEV_FEATURES := --examples

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run build test check fmt-check clippy doc-check deny sqlx-check prepare openapi openapi-check fuzz-api fuzz-api-short \
	asyncapi-check pages-check chaos torture test-lab faults-system-calls bench bench-scale bench-cost bench-build bench-readme profile \
	binary need-build need-test need-node need-openapi

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Install what the build lacks, build, and run the service with its defaults
	@echo "Starting the service (Ctrl-C stops it) ..."
	@exec cargo run --release --locked --quiet -- serve

build: need-build ## Install what the build lacks, and build the release binary
	@echo "Building (the first time takes some minutes) ..."
	cargo build --release --locked

test: need-test deny sqlx-check fmt-check clippy doc-check openapi-check asyncapi-check pages-check fuzz-api-short ## Install what the tests need, then run every check and every test
	@echo "Running the tests ..."
	@if cargo nextest --version >/dev/null 2>&1; then \
		set -ex; cargo nextest run $(TESTED) --no-fail-fast -E 'not binary(lab)'; cargo test --doc $(TESTED); cargo test $(TESTED) --test lab; \
	else \
		set -ex; cargo test $(TESTED) --no-fail-fast; \
	fi

check: need-build fmt-check clippy doc-check ## Check the format, the lints and the links of the documentation

fmt-check:
	cargo fmt --check

clippy:
	cargo clippy --all-targets --all-features --locked -- -D warnings

doc-check:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --lib $(TESTED)

deny: $(TOOLS)/bin/cargo-deny ## Check licences, bans and sources of the dependencies
	PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" cargo deny --all-features check bans licenses sources

# Unoptimised, because building it takes longer than all its runs: 44 s on 2 cores.
$(TOOLS)/bin/cargo-deny:
	@echo "Installing cargo-deny $(CARGO_DENY_VERSION) into $(TOOLS) ..."
	CARGO_PROFILE_DEV_DEBUG=false CARGO_TARGET_DIR=$(TOOLS)/build cargo install cargo-deny --quiet --version $(CARGO_DENY_VERSION) \
		--locked --debug --no-default-features --root $(TOOLS)
	@rm -rf $(TOOLS)/build

prepare: ## Write .sqlx, the checked form of every SQL query, from the migrations and the code
	$(MAKE) --no-print-directory $(PREPARE)/.sqlx
	rm -rf .sqlx
	cp -r $(PREPARE)/.sqlx .sqlx

sqlx-check: need-test
	@$(MAKE) --no-print-directory $(PREPARE)/.sqlx
	@diff -r .sqlx $(PREPARE)/.sqlx || { echo "error: .sqlx is stale; run make prepare and commit it" >&2; exit 1; }

# Made anew every time: touching the crate root makes the macros run, and they write what they checked.
.PHONY: $(PREPARE)/.sqlx
$(PREPARE)/.sqlx: need-build
	@scripts/need sqlite3
	@rm -rf $(PREPARE) && mkdir -p $@
	@cat migrations/*.sql | sqlite3 -bail $(PREPARE)/schema.db >/dev/null
	@touch src/lib.rs
	SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$(CURDIR)/$@ DATABASE_URL=sqlite://$(CURDIR)/$(PREPARE)/schema.db cargo check --lib $(TESTED) $(WITH_DEV_FEATURES)

openapi: binary ## Write openapi/openapi.yaml and openapi/asyncapi.yaml as the binary prints them
	@mkdir -p target openapi
	$(DEBUG)/sensorcast openapi > target/openapi.yaml
	$(DEBUG)/sensorcast asyncapi > target/asyncapi.yaml
	mv target/openapi.yaml target/asyncapi.yaml openapi/

# With the defaults, and with settings that change as much of it as they can.
asyncapi-check: binary tests/asyncapi/node_modules/.package-lock.json ## Validate the AsyncAPI document with the official parser
	$(DEBUG)/sensorcast asyncapi | node tests/asyncapi/check.mjs
	$(DEBUG)/sensorcast asyncapi --json --mqtt-public-url wss://broker.example.com/mqtt --mqtt-qos 2 --mqtt-retain-state \
		--mqtt-topic-prefix 'it/plant 7' --public-url https://example.com/api | node tests/asyncapi/check.mjs

pages-check: binary tests/pages/node_modules/.package-lock.json ## Look at every page in headless Chromium; screenshots in target/pages
	@scripts/need chromium
	node tests/pages/check.mjs $(DEBUG)/sensorcast target/pages

binary: need-build
	cargo build --bin sensorcast $(TESTED) $(WITH_DEV_FEATURES)

# What a check written in JavaScript needs, anew when its lock has changed.
tests/%/node_modules/.package-lock.json: tests/%/package.json tests/%/package-lock.json | need-node
	npm ci --no-progress --loglevel=error --prefix tests/$*
	@touch $@

need-node:
	@scripts/need nodejs npm

openapi-check: need-openapi binary $(NPM_TOOLS) ## Lint the OpenAPI document, and use it: by the Postman collection and the TypeScript client made from it
	$(DEBUG)/sensorcast openapi > target/openapi.yaml
	$(NPM_TOOLS)/.bin/spectral lint target/openapi.yaml --ruleset tests/openapi/.spectral.yaml --fail-severity hint --verbose
	for settings in REQUIRE_IF_MATCH=false REQUIRE_IF_MATCH=true; do for folders in Tags Paths; do \
		SERVICE_SETTINGS=$$settings NODE_PATH=$(NPM_TOOLS) tests/openapi/with-service $(DEBUG)/sensorcast \
			sh -c 'node tests/openapi/postman.js "$$SERVICE_URL" "$$0"' $$folders || exit; \
	done; done
	mkdir -p $(CLIENT)
	cp tests/openapi/client.mts tests/openapi/tsconfig.json $(CLIENT)
	$(NPM_TOOLS)/.bin/openapi-typescript target/openapi.yaml --output $(CLIENT)/schema.ts
	$(NPM_TOOLS)/.bin/tsc --project $(CLIENT)
	tests/openapi/with-service $(DEBUG)/sensorcast node $(CLIENT)/client.mjs

fuzz-api-short: need-openapi binary $(SCHEMATHESIS) ## Send 5,000 requests that are generated from the OpenAPI document
	printf '%s\n' 1 2 | xargs -P 2 -I SEED bash -o pipefail -c \
		'tests/openapi/with-service $(DEBUG)/sensorcast tests/openapi/fuzz SEED | sed -u "s/^/seed SEED: /"'

fuzz-api: need-openapi binary $(SCHEMATHESIS) ## The same with other requests, until stopped
	tests/openapi/with-service $(DEBUG)/sensorcast tests/openapi/fuzz

$(NPM_TOOLS): tests/openapi/package.json tests/openapi/package-lock.json
	@echo "Installing the linter, the Postman tools and TypeScript into $(@D) ..."
	@mkdir -p $(@D)
	cp tests/openapi/package.json tests/openapi/package-lock.json $(@D)
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(SCHEMATHESIS): tests/openapi/requirements.txt
	@echo "Installing Schemathesis into $(TOOLS)/schemathesis ..."
	python3 -m venv $(TOOLS)/schemathesis
	$(TOOLS)/schemathesis/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

need-build:
	@scripts/need cargo compiler cmake pkg-config openssl

chaos: need-test ## Run ROUNDS=n rounds of the mirror test, from SEED=s on
	CHAOS_ROUNDS=$(ROUNDS) CHAOS_SEED=$(SEED) cargo test $(TESTED) --test chaos -- --nocapture after_quiet

faults-system-calls: need-test ## Fail or kill the service in every single system call on its database, not only in the first ones
	ALL_SYSTEM_CALLS=1 cargo test $(TESTED) --test faults -- --nocapture system_call

test-lab: need-test ## Fail the service at every failpoint, and find planted bugs
	cargo test $(TESTED) --test lab

torture: need-test ## Kill the service KILLS=n times in the middle of requests, which follow from SEED=s
	KILLS=$(KILLS) SEED=$(SEED) cargo test $(TESTED) --test faults -- --nocapture the_service_killed

bench: bench-build ## Measure the service against its goals, and write benches/RESULTS.md (under 5 minutes); ROWS=get,patch for some
	$(RELEASE)/bench table $(if $(ROWS),--rows $(ROWS),--write benches/RESULTS.md)

bench-scale: bench-build ## The same with a million sensors and five million events, into benches/SCALE.md; SCALE=0.1 for a tenth
	$(RELEASE)/bench scale --scale $(SCALE) $(if $(filter 1,$(SCALE)),--write benches/SCALE.md)

bench-cost: bench-build ## Measure what each part of a PATCH costs the processor, and what the goals leave for it, into benches/COST.md
	$(RELEASE)/bench cost --write benches/COST.md

# The service is built with the program that measures it, so that both share every crate.
bench-build: need-build
	@scripts/need mosquitto wrk
	cargo build --release --locked --features bench --bins

bench-readme: ## Put the tables of the last measurements into README.md
	@table=target/bench-table && grep -h '^|' benches/RESULTS.md >$$table && \
		{ [ ! -e benches/SCALE.md ] || grep '^|' benches/SCALE.md | tail -n +3 >>$$table; } && \
		sed -i -e '/<!-- measured -->/,/<!-- until here -->/{//!d}' -e "/<!-- measured -->/r $$table" README.md

profile: bench-build ## Ask perf where the time goes under LOAD=get or LOAD=patch, into target/profile-LOAD.txt
	@scripts/need perf
	@mkdir -p target
	$(RELEASE)/bench profile $(LOAD) > target/profile-$(LOAD).txt
	@head -40 target/profile-$(LOAD).txt

faults-every-byte: need-test ## Cut the connection to the broker after every single byte, not only after some
	CUT_AT_EVERY_BYTE=1 cargo test $(TESTED) --test relay -- --nocapture cut_after_any_byte

overload: bench-build ## Send five times more writes than the service can do, for 30 s, and print what is served and refused
	$(RELEASE)/bench overload

soak: need-test ## Work for HOURS=n (a fraction will do) at 70 % of what the service can do, and watch what it holds
	cargo build --release --locked
	HOURS=$(HOURS) SENSORCAST_BINARY="$$(realpath $(RELEASE)/sensorcast)" \
		cargo test $(TESTED) --test faults -- --nocapture --ignored hours_at_an_even_pace

fuzz: need-build ## Bring any bytes to every parser, for FUZZ_SECONDS=n (60) each
	FUZZ_SECONDS=$(FUZZ_SECONDS) cargo test $(TESTED) --test fuzz -- --nocapture --test-threads=2

need-test: need-build $(PYTHON)/paho-mqtt
	@scripts/need mosquitto mosquitto-clients sqlite3 strace

need-openapi: need-build
	@scripts/need nodejs npm python3-venv

# For the example in Python, which the tests run.
$(PYTHON)/paho-mqtt:
	@scripts/need python3-venv
	@echo "Installing paho-mqtt for Python into $(PYTHON) ..."
	@python3 -m venv $(PYTHON)
	@$(PYTHON)/bin/pip install --quiet --disable-pip-version-check 'paho-mqtt>=2,<3'
	@touch $@
