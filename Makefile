# Everything a person or a CI does with this repository. `make help` lists it.
#
# Only Go, make, git and a C compiler (for the race detector) have to be on the machine; every other tool is pinned in
# tools/go.mod and built from there.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

UNITS    := sdk core plugins/processor-outcome plugins/processor-prefix plugins/processor-sanitize plugins/source-faktory plugins/source-opslevel examples/plugins/batch examples/plugins/shout
MODULES  := $(UNITS) test
# The folders with .proto files, from which their imports start.
PROTOS   := sdk/proto core/internal/agent
PLUGINS  := processor-outcome processor-prefix processor-sanitize source-faktory source-opslevel
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The image of core.
RUNNER_IMAGE ?= localhost/runner:dev
# The image that job pods take the helper from when nobody says otherwise; a release sets it to the one of its version.
HELPER_IMAGE ?= localhost/runner-helper:dev
# The plugins whose programs that image has as well, for jobs to call; see tools in docs/kubernetes.md.
TOOLS_IN_IMAGE ?= $(notdir $(wildcard plugins/source-faktory))
LDFLAGS  := -s -w -X github.com/podrunner/runner/core/internal/version.version=$(VERSION) \
	-X github.com/podrunner/runner/core/internal/config.DefaultHelperImage=$(HELPER_IMAGE)
GOBUILD  := CGO_ENABLED=0 go build -trimpath
# What goes into an image, and for which processors. The commit is left out, which would make its bytes differ.
IMAGEBUILD := GOWORK=off CGO_ENABLED=0 go build -trimpath -buildvcs=false
ARCHS    := amd64 arm64
# gRPC's tracing pages bring template engines with them, a fifth of the helper, which nobody would look at in a pod.
HELPER_TAGS := grpcnotrace
TOOLS    := $(CURDIR)/build/tools
CLUSTER  := build/cluster/cluster
# The cluster's module keeps out of go.work, which its replaced modules would bind.
INCLUSTER := cd test/cluster && export GOWORK=off CGO_ENABLED=0 GOFLAGS='$(shell go env GOFLAGS) -trimpath' &&

##@ Build

.PHONY: build
build: ## Build all binaries into bin/
	@mkdir -p bin/plugins
	$(GOBUILD) -ldflags '$(LDFLAGS)' -o bin/core ./core
	$(GOBUILD) -tags $(HELPER_TAGS) -ldflags '-s -w -X main.version=$(VERSION)' -o bin/runner-helper ./core/helper
	@for p in $(PLUGINS); do echo "build $$p"; \
		$(GOBUILD) -ldflags '-s -w -X main.version=$(VERSION)' -o bin/plugins/runner-$$p ./plugins/$$p; done

.PHONY: helper-image
helper-image: $(TOOLS)/image ## Build the image of runner-helper, an OCI archive, with no container engine
	@for arch in $(ARCHS); do echo "build runner-helper for linux/$$arch"; \
		(cd core && GOOS=linux GOARCH=$$arch $(IMAGEBUILD) -tags $(HELPER_TAGS) \
			-ldflags '-s -w -X main.version=$(VERSION)' -o $(CURDIR)/build/helper/$$arch/runner-helper ./helper); \
		for p in $(TOOLS_IN_IMAGE); do echo "build $$p for linux/$$arch"; \
			(cd plugins/$$p && GOOS=linux GOARCH=$$arch $(IMAGEBUILD) \
				-ldflags '-s -w -X main.version=$(VERSION)' -o $(CURDIR)/build/helper/$$arch/tools/runner-$$p .); done; done
	@$(TOOLS)/image -title runner-helper $(ARCHS:%=-arch %) -binaries build/helper -reference $(HELPER_IMAGE) -version $(VERSION) \
		$(TOOLS_IN_IMAGE:%=-program tools/runner-%) -out bin/images/runner-helper.tar

.PHONY: runner-image
runner-image: $(TOOLS)/image ## Build the image of core with the plugins and runner.hcl, in the same way
	@for arch in $(ARCHS); do echo "build core and the plugins for linux/$$arch"; \
		(cd core && GOOS=linux GOARCH=$$arch $(IMAGEBUILD) -ldflags '$(LDFLAGS)' -o $(CURDIR)/build/runner/$$arch/core .); \
		for p in $(PLUGINS); do \
			(cd plugins/$$p && GOOS=linux GOARCH=$$arch $(IMAGEBUILD) \
				-ldflags '-s -w -X main.version=$(VERSION)' -o $(CURDIR)/build/runner/$$arch/plugins/runner-$$p .); done; done
	@cd tools && GOWORK=off go run ./cacerts >$(CURDIR)/build/runner/ca-certificates.crt
	@$(TOOLS)/image -title runner $(ARCHS:%=-arch %) -binaries build/runner -reference $(RUNNER_IMAGE) \
		-version $(VERSION) $(PLUGINS:%=-program plugins/runner-%) -file runner.hcl=runner.hcl \
		-file etc/ssl/certs/ca-certificates.crt=build/runner/ca-certificates.crt -out bin/images/runner.tar

# By itself, as the other tools take minutes and are not needed for it.
$(TOOLS)/image: tools/go.mod tools/go.sum $(shell find tools/image -type f -not -name '*_test.go')
	@cd tools && GOWORK=off go build -trimpath -o $@ ./image

# The chart is tested with it. It has a module of its own, so that whoever only lints need not build it.
$(TOOLS)/helm: tools/helm/go.mod tools/helm/go.sum
	@echo "build helm (once, a minute or so)"
	@cd tools/helm && GOWORK=off CGO_ENABLED=0 go build -trimpath -o $@ helm.sh/helm/v3/cmd/helm

.PHONY: generate
generate: $(TOOLS)/built ## Generate code from the .proto files
	@for dir in $(PROTOS); do $(TOOLS)/protogen $$dir; done

# The tools that tools/go.mod pins, built once for each change of it.
$(TOOLS)/built: tools/go.mod tools/go.sum $(wildcard tools/protogen/*.go)
	@echo "build the tools (once, a minute or two)"
	@mkdir -p $(TOOLS)
	@cd tools && GOWORK=off GOBIN=$(TOOLS) go install tool ./protogen
	@touch $@

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin build

##@ Use

.PHONY: demo
demo: build ## Run the example job on this machine, through three processors
	bin/core test -f examples/job.yaml --executor local

.PHONY: cluster
cluster: build helper-image $(CLUSTER) ## Bring up a real single-node Kubernetes on this machine (root, Debian)
	@# For another processor, all of core would have to be built once more.
	@$(MAKE) --no-print-directory runner-image ARCHS=$$(go env GOARCH)
	$(CLUSTER) up
	$(CLUSTER) load bin/images/runner-helper.tar bin/images/runner.tar

.PHONY: cluster-down
cluster-down: $(CLUSTER) ## End that Kubernetes and remove all that it has made
	$(CLUSTER) down

# All of Kubernetes: minutes the first time, seconds after that. It tells its clients the version that go.mod pins.
$(CLUSTER): $(shell find test/cluster -type f -not -name '*_test.go')
	@mkdir -p $(@D)
	@echo "build the cluster (some minutes the first time)"
	@$(INCLUSTER) version=$$(go list -m -f '{{.Version}}' k8s.io/kubernetes) && minor=$${version#v1.} && \
		git=k8s.io/component-base/version.git && \
		go build -ldflags "-s -w -X $${git}Version=$$version -X $${git}Major=1 -X $${git}Minor=$${minor%.*}" -o $(CURDIR)/$@ .

# Where `make dev` has Faktory take commands, and where its page is.
DEV_FAKTORY ?= 127.0.0.1:7419
DEV_WEB     ?= 127.0.0.1:7420
DEV_CONFIG  := examples/faktory.hcl
EXECUTOR    ?= local
# Where `make dev-opslevel` has its API, and the token that it takes.
DEV_OPSLEVEL ?= 127.0.0.1:7430
DEV_TOKEN    ?= EXAMPLE-TOKEN
# Where either shows metrics and health. At a desk there is little room: a job gets next to nothing.
DEV_METRICS  ?= 127.0.0.1:10354
AT_A_DESK    := OPSLEVEL_JOB_CONCURRENCY=5 OPSLEVEL_JOB_POD_REQUESTS_CPU=50 OPSLEVEL_JOB_POD_REQUESTS_MEMORY=32

.PHONY: dev
dev: build faktory ## Run core with a real Faktory, until Ctrl-C; in pods: make dev EXECUTOR=kubernetes
	@if [ "$(EXECUTOR)" = kubernetes ]; then $(MAKE) --no-print-directory cluster; fi
	@mkdir -p build && cd test && go build -o ../build/faktory-serve ./faktory/serve
	@$(AT_A_DESK) RUNNER_EXECUTOR=$(EXECUTOR) FAKTORY_URL=tcp://$(DEV_FAKTORY) OPSLEVEL_QUEUES="runner default" \
		CORE="-c $(DEV_CONFIG) --set telemetry.address=$(DEV_METRICS)" HINT="Push jobs with: make enqueue N=5" \
		test/dev.sh build/faktory-serve -address $(DEV_FAKTORY) -web $(DEV_WEB)

.PHONY: dev-opslevel
dev-opslevel: build ## Run core with an OpsLevel API for a desk, until Ctrl-C; in pods: make dev-opslevel EXECUTOR=kubernetes
	@if [ "$(EXECUTOR)" = kubernetes ]; then $(MAKE) --no-print-directory cluster; fi
	@mkdir -p build && cd test && go build -o ../build/opslevel-serve ./opslevel/serve
	@$(AT_A_DESK) OPSLEVEL_API_URL=http://$(DEV_OPSLEVEL) OPSLEVEL_API_TOKEN=$(DEV_TOKEN) OPSLEVEL_POLL_INTERVAL=2s \
		CORE="-c runner.hcl --set pipeline.default.executor=$(EXECUTOR) --set telemetry.address=$(DEV_METRICS)" HINT="Push jobs with: build/opslevel-serve push -f examples/job.yaml -n 3" \
		test/dev.sh build/opslevel-serve -address $(DEV_OPSLEVEL) -token $(DEV_TOKEN)

N    ?= 1
FILE ?= examples/faktory-job.yaml

.PHONY: enqueue
enqueue: ## Push N jobs for `make dev`, or for the Faktory of FAKTORY_URL: make enqueue N=50
	@FAKTORY_URL=$${FAKTORY_URL:-tcp://$(DEV_FAKTORY)} bin/core enqueue -c $(DEV_CONFIG) -f $(FILE) --count $(N)

.PHONY: faktory
faktory: redis $(TOOLS)/faktory ## Build a real Faktory server, and install the Redis that it needs

# Faktory keeps its jobs in Redis.
.PHONY: redis
redis:
	@command -v redis-server >/dev/null || test/faktory/install-redis.sh

# The real server, of the version that the plugin is tested with.
$(TOOLS)/faktory: plugins/source-faktory/go.mod plugins/source-faktory/go.sum
	@echo "build Faktory"
	@mkdir -p $(@D)
	@cd plugins/source-faktory && GOWORK=off go build -trimpath -o $@ github.com/contribsys/faktory/cmd/faktory

##@ Check

.PHONY: test
test: test-unit test-e2e ## Run all tests, with the race detector

.PHONY: test-unit
test-unit: $(TOOLS)/built redis chart-test ## Run the tests of every module
	@# What they read beside their own module is not seen by the cache of results.
	cd tools && GOWORK=off $(TOOLS)/gotestsum --format pkgname-and-test-fails -- -count=1 -timeout 5m ./...
	$(TOOLS)/gotestsum --format pkgname-and-test-fails -- -race -timeout 20m $(UNITS:%=./%/...)
	$(INCLUSTER) $(TOOLS)/gotestsum --format pkgname-and-test-fails -- -timeout 5m ./internal/...

.PHONY: chart-test
chart-test: $(TOOLS)/helm ## Check deploy/chart: lint, golden files, rights, the schema of its values
	go test -count=1 ./test/chart

.PHONY: test-e2e
test-e2e: build $(TOOLS)/built $(TOOLS)/helm faktory ## Run the tests of the real binaries: faults, kills, a gigabyte of log, a real Kubernetes
	$(TOOLS)/gotestsum --format testname -- -timeout 30m -count=1 -p 1 ./test/faktory ./test/e2e ./test/e2e/faktory ./test/e2e/opslevel
	test/e2e/with-cluster.sh $(TOOLS)/gotestsum --format testname -- -timeout 40m -count=1 -parallel 6 ./test/e2e/kubernetes

.PHONY: lint
lint: $(TOOLS)/built ## Check format, vet, linters, generated code, and that every module builds alone
	@out=$$($(TOOLS)/gofumpt -l $(MODULES) tools); if [ -n "$$out" ]; then echo "not gofumpt-clean:"; echo "$$out"; exit 1; fi
	@for dir in $(PROTOS); do fresh=$$(mktemp -d); cp -r $$dir/. "$$fresh"; $(TOOLS)/protogen "$$fresh"; \
		if ! diff -rq $$dir "$$fresh"; then echo "the generated code is not that of the .proto files: make generate"; exit 1; fi; \
		rm -rf "$$fresh"; done
	@for m in $(MODULES); do echo "lint $$m"; (cd $$m && $(TOOLS)/golangci-lint run ./...); done
	@echo "lint tools"; cd tools && GOWORK=off $(TOOLS)/golangci-lint run ./...
	@# Without its main package, which is nothing but Kubernetes: to analyse all of that takes gigabytes and minutes.
	@echo "lint test/cluster"; $(INCLUSTER) $(TOOLS)/golangci-lint run ./internal/... && go mod tidy -diff
	@for m in $(MODULES); do (cd $$m && GOWORK=off go build -o /dev/null ./... && GOWORK=off go mod tidy -diff); done

.PHONY: bench
bench: build faktory ## Measure the pipeline against sed | sed | grep, jobs of a Faktory queue, and allocations
	go run ./test/bench
	go test -run '^$$' -bench . -benchmem ./core/internal/... ./sdk/... ./plugins/processor-sanitize/...

.PHONY: bench-mask
bench-mask: ## Measure how fast values are found and masked, against strings.NewReplacer and bytes.ReplaceAll
	go run ./test/bench/mask

.PHONY: bench-cluster
bench-cluster: build ## Measure jobs and logs on the cluster of KUBECONFIG, against bare pods
	go run ./test/bench/cluster

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
