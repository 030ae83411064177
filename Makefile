# Every target installs what it lacks on Debian and Ubuntu, and says what to
# install elsewhere (scripts/need.sh). Rust itself comes from rustup.

CARGO ?= cargo
NPM ?= npm
NEED := scripts/need.sh
CARGO_TARGET_DIR ?= $(CURDIR)/target
PROGRAMS := $(CARGO_TARGET_DIR)/debug
SHELL_SCRIPTS := $(shell git ls-files -co --exclude-standard '*.sh' .ci/run benches/run 'deploy/debian/scripts/*' 2>/dev/null)

# Where need.sh puts a Node newer than the distribution's.
export PATH := $(CURDIR)/target/tools/node_modules/node/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-clients test-long test-vectors bench lint deb sbom dist
# The parts of `make lint test` share one target directory: in order, not at once.
.NOTPARALLEL:

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

demo: ## the gateway before a stand-in for Electric, with a page to look at
	@$(NEED) rust build
	$(CARGO) run --locked --bin shapegate -- demo

lint: ## formatting, clippy, rustdoc, shellcheck
	@$(NEED) rust_lints build shellcheck
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet
	shellcheck -x $(SHELL_SCRIPTS)

test: test-rust test-clients ## all tests of every commit; test-long adds more cases and the real OPA, OpenFGA, SpiceDB and OpenTelemetry Collector
	@echo "make test-long adds: many more random cases, and the real OPA, OpenFGA, SpiceDB and OpenTelemetry Collector"

test-rust: ## the Rust tests alone
	@$(NEED) rust build curl postgres caches redis systemd packaging sbom
	$(CARGO) test --locked --workspace

test-clients: ## Electric's TypeScript client, and a certified OpenID provider, with the real programs
	@$(NEED) rust build node
	$(CARGO) build --locked --workspace --bins
	cd tests/clients && $(NPM) ci
	cd tests/clients && SHAPEGATE_PROGRAMS="$(PROGRAMS)" $(NPM) test

test-long: test-clients ## before a release: many more random cases, and the real OPA, OpenFGA, SpiceDB and OpenTelemetry Collector
	@$(NEED) rust build curl postgres caches redis systemd packaging sbom authorization_servers collector
	PROPTEST_CASES=20000 SHAPEGATE_UPGRADES=100 SHAPEGATE_STREAMS=10000 SHAPEGATE_SOAK_ROUNDS=60 $(CARGO) test --locked --workspace -- --include-ignored
	SHAPEGATE_AUTHORIZATION_SERVERS="$(CURDIR)/target/tools/bin" $(CARGO) test --locked --features authorization_servers,collector --test authorizers servers
	SHAPEGATE_COLLECTOR="$(CURDIR)/target/tools/bin/otelcol" $(CARGO) test --locked --features authorization_servers,collector --test traces real

test-vectors: ## Project Wycheproof's vectors: make test-vectors WYCHEPROOF=<a clone of it>
	@$(NEED) rust build
	WYCHEPROOF="$(abspath $(WYCHEPROOF))" $(CARGO) test --locked --features wycheproof --lib wycheproof

deb: ## a Debian package, in target/debian
	@$(NEED) rust build packaging
	scripts/deb.sh

sbom: ## a list of all parts (CycloneDX), in target/dist
	@$(NEED) rust build sbom
	scripts/dist.sh --sbom-only

dist: ## a release: an archive, its list of parts, checksums, in target/dist
	@$(NEED) rust build sbom
	scripts/dist.sh

bench: ## micro benchmarks, then side by side with peers
	@$(NEED) rust build bench
	benches/run
