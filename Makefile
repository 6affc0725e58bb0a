# Everything a developer does here. `make` alone explains itself.
SHELL := bash
.DEFAULT_GOAL := help

GOLANGCI_VERSION := v2.15.0
GOLANGCI := .cache/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint
FUZZTIME ?= 30s
FAULTS ?=
PACKAGES ?= ./...
PEERS ?= kafka-sse
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# The JSON Schema conformance test reads its cases from here.
ifneq ($(wildcard ../shared/json-schema-test-suite/.),)
export SLUICE_SCHEMA_SUITE ?= $(abspath ../shared/json-schema-test-suite)
endif

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

.PHONY: run
run: build ## Run the gateway with its embedded broker, data in ./data
	bin/gateway --embedded --data-dir ./data

.PHONY: build
build: ## Build bin/gateway
	go build -o bin/gateway ./cmd/gateway

# Built at once, run one package after the other: they share a broker and the
# cores, and wait for what must happen soon.
BUILD_TESTS = go test -race -run '^$$' $(PACKAGES) >/dev/null
RUN_TESTS = go run ./scripts/gotest -race -count=1 -p=1 $(PACKAGES)

.PHONY: test
test: ## Run every test this machine can run, with a real Kafka where java and mvn are
	@$(BUILD_TESTS)
	@scripts/with-kafka $(RUN_TESTS)

.PHONY: race
race: ## Run the tests that need no real Kafka, with the race detector
	@go run ./scripts/gotest -race $(PACKAGES)

.PHONY: test-kafka
test-kafka: ## Run the tests against a real Kafka; fail if anything is skipped
	@$(BUILD_TESTS)
	@SLUICE_TEST_NO_SKIP=1 scripts/with-kafka $(RUN_TESTS)

.PHONY: test-interop
test-interop: ## Run Python's Kafka clients against the gateway, on a real Kafka
	@scripts/with-kafka test/interop/run

.PHONY: test-api
test-api: ## Hold a gateway's answers against api/openapi.yaml, with made-up requests
	@test/conformance/run

.PHONY: test-cluster
test-cluster: ## Run the tests that need three brokers, of a real Kafka
	@scripts/with-kafka3 go run ./scripts/gotest -race -count=1 -p=1 -tags=cluster -run=TestCluster ./internal/kafka ./cmd/gateway

.PHONY: test-upgrade
test-upgrade: ## Run this version and the one before it after and beside each other
	@SLUICE_PREVIOUS=$$(scripts/previous) scripts/with-kafka go run ./scripts/gotest -race -count=1 -p=1 -tags=upgrade -run=TestUpgrade ./cmd/gateway

.PHONY: test-faults
test-faults: build ## Break brokers, links and gateways, and hold promises against it; FAULTS=short, or names
	@mkdir -p .cache && go build -o .cache/test-faults ./test/faults
	@KAFKA_LINKS=1 KAFKA_WAIT=300 FAULTS=$(FAULTS) scripts/with-kafka3 .cache/test-faults

.PHONY: test-gssapi
test-gssapi: ## Build with GSSAPI, and try it with a Kerberos realm and a real Kafka
	@scripts/test-gssapi

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZTIME (30s)
	@scripts/fuzz $(FUZZTIME)

.PHONY: bench
bench: ## Measure publishing on a real Kafka, beside baselines, into docs/BENCHMARKS.md
	@scripts/with-kafka test/bench/run

.PHONY: bench-sse
bench-sse: ## Measure live reading on a real Kafka, beside a bare server, into docs/BENCHMARKS-SSE.md
	@scripts/with-kafka test/bench/run-sse

.PHONY: bench-webhook
bench-webhook: ## Measure push delivery on a real Kafka, beside a bare sender, into docs/BENCHMARKS-WEBHOOK.md
	@scripts/with-kafka test/bench/run-webhook

.PHONY: test-load
test-load: ## Load for half an hour, 10,000 connections, a herd of readers, into docs/LOAD.md
	@scripts/with-kafka test/load/run

.PHONY: bench-peers
bench-peers: ## Measure the gateway beside others (PEERS=...) on a real Kafka, into docs/PEERS.md
	@PEERS="$(PEERS)" scripts/with-kafka test/bench/run-peers

.PHONY: microbench
microbench: ## Run the benchmarks of single functions
	go test -run '^$$' -bench . -benchmem $(PACKAGES)

.PHONY: lint
lint: $(GOLANGCI) ## Check the house style
	@scripts/check-length
	$(GOLANGCI) run $(PACKAGES)

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities in what the code calls (asks a database)
	@scripts/vulncheck $(PACKAGES)

.PHONY: fmt
fmt: $(GOLANGCI) ## Format the code
	$(GOLANGCI) fmt $(PACKAGES)

.PHONY: smoke
smoke: build ## Start the gateway, publish a record and read it again
	@scripts/smoke

.PHONY: docker
docker: ## Build the container image sluice:VERSION
	docker build -t sluice:$(VERSION) .

.PHONY: clean
clean: ## Remove what was built and cached (not ./data)
	@if [ -d .cache/kafka ]; then test/kafka/kafka-down; fi
	rm -rf bin .cache

# Built from source, once: the first time takes minutes.
$(GOLANGCI):
	GOBIN=$(abspath $(@D)) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
