.DEFAULT_GOAL := help
SHELL := /bin/bash
CARGO ?= cargo
CONFIG ?= collector.yaml

# A larger collection of captured requests, where it stands beside the checkout.
ifneq ($(wildcard ../shared/corpus/index.json),)
export SLIMSPAN_CAPTURES ?= $(abspath ../shared/corpus)
endif

.PHONY: help
help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

.PHONY: run
run: ## Build slimspan and run it with collector.yaml (CONFIG=file for another)
	$(CARGO) run --release --locked -- --config $(CONFIG)

.PHONY: demo
demo: ## Send a picture, a PDF and a plain span through the slimspan that runs
	$(CARGO) run --release --locked --quiet -- demo --config $(CONFIG)

.PHONY: test
test: tools ## Run all tests; installs what they need beyond Rust into .tools/
	$(CARGO) test --workspace --locked

# In the build of `test`. One way to deliver at a time, or each would measure the others, too.
.PHONY: lives
lives: export SLIMSPAN_LIVES ?= 200
lives: ## Kill slimspan SLIMSPAN_LIVES (200) times while it delivers, and look for what is lost
	$(CARGO) test --workspace --locked --test integration -- delivery::kill --test-threads=1

.PHONY: tools
tools: ## Install the store emulators and the SDK that tests run against, into .tools/
	tests/tools/install.sh

.PHONY: peers
peers: ## Send pictures to MLflow and Phoenix, and show one in a real browser; installs 2 GB into .tools/
	tests/tools/peers.sh

.PHONY: viewer
viewer: ## Open the pages of artifact_server in a real browser, and files that would do harm there
	tests/tools/viewer.sh

.PHONY: screenshots
screenshots: ## Both in a browser, and keep the pictures of it in docs/images
	tests/tools/peers.sh docs/images/phoenix.png
	tests/tools/viewer.sh docs/images

.PHONY: packaging
packaging: ## Check the image, the Helm chart, the manifests and the service of deploy/
	tests/tools/packaging.sh

.PHONY: bench
bench: ## Measure slimspan against the naive way and against bare forwarding; prints ratios
	$(CARGO) build --release --locked --bin slimspan
	$(CARGO) run --release --locked --package slimspan-bench --bin core
	$(CARGO) run --release --locked --package slimspan-bench --bin allocations
	MIMALLOC_PURGE_DELAY=-1 $(CARGO) run --release --locked --package slimspan-bench --bin linear
	$(CARGO) run --release --locked --package slimspan-bench --bin end_to_end
	$(CARGO) run --release --locked --package slimspan-bench --bin catalog

.PHONY: fuzz
fuzz: ## Look for requests that do not come back as they were, for FUZZ_SECONDS (1800)
	tests/tools/fuzz.sh

.PHONY: reliability
reliability: export SLIMSPAN_LIVES ?= 200
reliability: export SOAK_SECONDS ?= 600
reliability: soak ## Kill, break and cut for ten minutes and more: 200 lives in all

.PHONY: soak
soak: ## Kill, break and cut for SOAK_SECONDS (7200): 2,000 lives; from 1800 on it writes docs/reliability.md
	tests/tools/soak.sh

.PHONY: lint
lint: ## Check format and lints
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path processors/artifact/fuzz/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

.PHONY: rules
rules: ## Check what may depend on what, licences and sources
	tests/tools/rules.sh
