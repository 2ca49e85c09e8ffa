# What a person types; `make help` lists it. Every target does the set-up it needs and says what it installs.
GO      ?= go
MINUTES ?= 60
# -buildvcs stamps the commit into the binary, so that every report names what ran.
BUILD   := $(GO) build -buildvcs=auto -trimpath

.PHONY: help run build install test lint fmt bench fuzz conformance soak setup-test tools clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

build: ## build bin/faultline
	@mkdir -p bin
	$(BUILD) -o bin/faultline ./cmd/faultline

run: build ## from a clone to verdicts about a real etcd and a real Kubernetes control plane, three nodes each (root)
	@echo "the first time, etcd and Kubernetes are downloaded where their releases can be reached, or built from Go modules:"
	@echo "about 2 and 6 minutes on two cores (the kubelet with its hollow container runtime is always built); later runs take them from the cache"
	bin/faultline doctor
	@worst=0; \
	bin/faultline test etcd/register --nemesis partition,kill,pause --time-limit 60s || worst=$$?; \
	bin/faultline test kube/deployment --nemesis partition,kill --time-limit 60s || worst=$$?; \
	exit $$worst

test: setup-test bin/gotestsum install ## every test, with the race detector (root)
	$(GO) vet ./...
	@mkdir -p bin
	@# TestConformance… need other tools' histories: make conformance runs them.
	bin/gotestsum --format pkgname --jsonfile bin/test.json -- -race -timeout 30m -skip '^TestConformance' ./...
	@.ci/skipped bin/test.json

lint: bin/golangci-lint ## the linters and the formatter
	bin/golangci-lint run ./...
	bin/golangci-lint fmt --diff ./...

fmt: bin/golangci-lint ## format the code
	bin/golangci-lint fmt ./...

bench: build ## measure the figures of the README (not a test: nothing fails)
	bench/run

install: build ## fetch or build etcd and Kubernetes into the cache, so that nothing has to wait for them later
	bin/faultline install etcd
	bin/faultline install kube

fuzz: ## every fuzz target for a minute (FUZZTIME=10s changes that)
	.ci/fuzz $(or $(FUZZTIME),60s)

conformance: ## compare verdicts with other tools' on their histories: CONFORMANCE=folder, see CONFORMANCE.md
	.ci/conformance "$(CONFORMANCE)"

soak: build ## runs with fresh seeds for MINUTES=60; resumable, prints the count
	bench/soak $(MINUTES)

setup-test: ## install what the tests need and this machine lacks: Debian's openssh-server, for its sshd
	@command -v sshd >/dev/null || test -x /usr/sbin/sshd || { echo "installing openssh-server (a test drives a real sshd)"; \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends openssh-server; }

bin/golangci-lint: tools/go.mod
	@echo "building golangci-lint from tools/go.mod (a few minutes the first time)"
	cd tools && $(GO) build -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/gotestsum: tools/go.mod
	cd tools && $(GO) build -o ../bin/gotestsum gotest.tools/gotestsum

clean: ## remove what was built (not the cache of systems under test)
	rm -rf bin
