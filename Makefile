# Pinned tool versions.
MINIO       := github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
VERSITYGW   := github.com/versity/versitygw/cmd/versitygw@v1.8.0
REGISTRY    := github.com/distribution/distribution/v3/cmd/registry@v3.1.2
CRANE       := github.com/google/go-containerregistry/cmd/crane@v0.22.1
CONFORMANCE := github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111
CONTAINERD  := github.com/containerd/containerd/v2/cmd/containerd@v2.4.2
CTR         := github.com/containerd/containerd/v2/cmd/ctr@v2.4.2
SHIM        := github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@v2.4.2
TOXIPROXY   := github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0
BOMBARDIER  := github.com/codesenberg/bombardier@v1.2.6
MC          := github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9
HELM        := helm.sh/helm/v4/cmd/helm@v4.3.1
COSIGN      := github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
ORAS        := oras.land/oras/cmd/oras@v1.3.6
REGCTL      := github.com/regclient/regclient/cmd/regctl@v0.11.7
CYCLONEDX   := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
GOLANGCI    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
DEADCODE    := golang.org/x/tools/cmd/deadcode@v0.52.0
NFPM        := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
TFLINT      := github.com/terraform-linters/tflint@v0.64.0
RCLONE      := github.com/rclone/rclone@v1.76.0

# npm packages that contain the schemas of Terraform's providers.
SCHEMA_aws    := @cdktf/provider-aws@21.22.1
SCHEMA_google := @cdktf/provider-google@16.12.1
SCHEMA_minio  := @pulumi/minio@0.17.1

TEST_TOOLS := $(MINIO) $(VERSITYGW) $(REGISTRY)
LINT_TOOLS := $(GOLANGCI) $(ACTIONLINT) $(DEADCODE) $(GOVULNCHECK)
E2E_TOOLS  := $(MINIO) $(REGISTRY) $(CRANE) $(CONFORMANCE) $(CONTAINERD) $(CTR) $(SHIM) $(TOXIPROXY) $(CYCLONEDX) $(NFPM) \
	$(COSIGN) $(ORAS) $(REGCTL) $(HELM)
# go install cannot build notation, nor a Docker engine with the containerd image store and its BuildKit; infra/testenv/tools
# pins them.
MOBY       := .tools/bin/dockerd-moby .tools/bin/buildkitd .tools/bin/buildctl
E2E_BUILT  := .tools/bin/notation $(MOBY)
E2E_DEBIAN := docker.io podman skopeo runc busybox-static ca-certificates strace nginx-light haproxy
INFRA_TOOLS  := $(MINIO) $(REGISTRY) $(MC) $(HELM) $(TFLINT)
# go install cannot build OpenTofu and terraform-docs; terraform/check/tools pins them. Nor can it build SeaweedFS, whose
# go.mod has a replace directive; infra/testenv/tools/weed pins it.
STORES_TOOLS  := $(RCLONE) $(CRANE) $(TEST_TOOLS)
STORES_DEBIAN := ceph-common ceph-mon ceph-osd radosgw
TERRAFORM_TOOLS := .tools/bin/tofu .tools/bin/terraform-docs $(patsubst %,.tools/terraform/%.json,aws google minio)
INFRA_DEBIAN := nginx-light prometheus systemd busybox-static
BENCH_DEBIAN := nginx-light

# lambda.norpc leaves out aws-lambda-go's support for the go1.x runtime, which AWS removed in 2023. It saves 12 MB.
TAGS := lambda.norpc

BIN := $(CURDIR)/.tools/bin
# One stamp file per tool and version, so that changing a pin reinstalls the tool.
stamps = $(addprefix .tools/,$(subst /,~,$(1)))

# Installs missing Debian packages. On a machine with systemd, the packages would start nginx and HAProxy (port 80) and
# Prometheus, so mask them until the next boot.
debian = dpkg -s $(1) >/dev/null 2>&1 || { \
	{ [ ! -d /run/systemd/system ] || systemctl mask --runtime nginx haproxy prometheus; } && \
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(1); }

# How often bench-parts runs each benchmark. benchstat needs several runs to measure the variance.
COUNT ?= 10

# Platforms of a release.
PLATFORMS ?= linux/amd64 linux/arm64 linux/arm/v7 darwin/amd64 darwin/arm64 windows/amd64

# Other systems that the program must compile for.
SYSTEMS := windows darwin freebsd

export ENTREPOT_TEST_STRICT ?= 1
# Checks and tests that cannot run append a line to this file.
export ENTREPOT_TEST_NOT_RUN ?= $(CURDIR)/bin/not-run

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/entrepot
	CGO_ENABLED=0 go build -trimpath -tags $(TAGS) -o bin/entrepot ./cmd/entrepot

.PHONY: lambda
lambda: bin/lambda-arm64.zip bin/lambda-amd64.zip ## build the AWS Lambda packages, bin/lambda-{arm64,amd64}.zip

.PHONY: FORCE
bin/lambda-%.zip: FORCE
	GOOS=linux GOARCH=$* infra/release/compile.sh $(CURDIR)/bin/lambda-$*/bootstrap
	rm -f $@
	go run github.com/aws/aws-lambda-go/cmd/build-lambda-zip -o $@ bin/lambda-$*/bootstrap

.PHONY: run
run: ## serve Docker Hub from ./data on port 5000, without configuration
	go run ./cmd/entrepot serve

.PHONY: test
test: clear-not-run tools-test lint ## lint, then run all tests with the race detector against real MinIO and versitygw
	go test -count=1 -run Allocates ./bounded ./handlers # without -race, which allocates too
	@# Many tests wait, so run more of them than there are cores. The packages that take longest come first; go test lists each
	@# package once. Seeds are fixed: make soak picks new ones.
	ENTREPOT_TEST_SEED=5000 ENTREPOT_TEST_SEEDS=60 go test -race -p 2 -parallel 4 -timeout 15m \
		./cmd/entrepot ./mirror/fill ./backend/minio ./backend/s3 ./...
	@infra/lint/summary.sh

.PHONY: clear-not-run
clear-not-run:
	@rm -f $(ENTREPOT_TEST_NOT_RUN)

.PHONY: e2e
e2e: tools-e2e debian cross infra-check ## infra-check, then pull with docker, containerd, podman, skopeo and crane; OCI conformance (needs root)
	ENTREPOT_TEST_POLICY=$(POLICY) go test -tags e2e -count=1 -v -timeout 25m ./cmd/entrepot/e2e
	ENTREPOT_TEST_POLICY=$(POLICY) go test -tags e2e -count=1 -v -timeout 60m ./cmd/entrepot/e2e/cluster
	go test -tags e2e -count=1 -v -timeout 15m ./cmd/entrepot -run 'TestPullsSucceedWhileTheCollectorRuns|TestCommandsOnManyObjects'
	$(MAKE) e2e-stores
	@infra/lint/summary.sh

.PHONY: e2e-cluster
e2e-cluster: $(call stamps,$(MINIO) $(CRANE) $(TOXIPROXY)) debian ## three replicas behind nginx and HAProxy, killed at random (ENTREPOT_CLUSTER_DURATION, default 3m)
	go test -tags e2e -count=1 -v -timeout 60m ./cmd/entrepot/e2e/cluster

# Duration of the cluster test, number of fill model seeds, and rounds in which replicas die in `make soak`.
SOAK ?= 10m
SOAK_SEEDS ?= 3000
SOAK_ROUNDS ?= 24

.PHONY: soak
soak: $(call stamps,$(MINIO) $(CRANE) $(TOXIPROXY)) debian ## fill model, killed replicas and cluster with a random seed (ENTREPOT_TEST_SEED, SOAK, SOAK_SEEDS, SOAK_ROUNDS)
	@seed=$${ENTREPOT_TEST_SEED:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')} && echo ENTREPOT_TEST_SEED=$$seed && export ENTREPOT_TEST_SEED=$$seed && \
	ENTREPOT_TEST_SEEDS=$(SOAK_SEEDS) go test -race -count=1 -v -timeout 60m ./mirror/fill -run TestWhateverHappens && \
	ENTREPOT_TEST_ROUNDS=$(SOAK_ROUNDS) go test -race -count=1 -v -timeout 60m ./cmd/entrepot -run TestClientsGetTheirBytesWhileReplicasDie && \
	ENTREPOT_CLUSTER_DURATION=$(SOAK) go test -tags e2e -count=1 -v -timeout 120m ./cmd/entrepot/e2e/cluster

FUZZTIME ?= 1m

.PHONY: fuzz
fuzz: ## run each fuzz test for FUZZTIME (default 1m)
	@git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u | while read -r package; do \
		for test in $$(go test -list '^Fuzz' ./$$package | grep ^Fuzz); do \
			echo "fuzzing $$test in $$package"; \
			go test -run '^$$' -fuzz "^$$test\$$" -fuzztime $(FUZZTIME) ./$$package </dev/null || exit 1; \
		done || exit 1; \
	done

.PHONY: e2e-stores
e2e-stores: tools-stores debian-stores ## SeaweedFS, Ceph and rclone as stores: pulls, killed replicas, abilities
	@# Most of these tests wait for a throttled upstream or an expiring lease.
	go test -tags e2e -count=1 -v -parallel 8 -timeout 20m ./cmd/entrepot/e2e/stores
	go test -tags e2e -count=1 -parallel 8 -timeout 20m -run 'TestStoreOn(SeaweedFS|Ceph|Rclone)|FaultyProxiesOnMinIO' ./backend/s3 ./backend/minio

.PHONY: conformance
conformance: $(call stamps,$(E2E_TOOLS)) ## run only the OCI conformance suite
	go test -tags e2e -count=1 -v -timeout 5m -run Conformance ./cmd/entrepot/e2e

.PHONY: infra-check infra-check-compose infra-check-helm infra-check-systemd infra-check-terraform
infra-check: $(call stamps,$(GOLANGCI)) infra-check-compose infra-check-helm infra-check-systemd infra-check-terraform ## check the deployment files: Compose, Helm, systemd, Terraform
	cd infra/check && $(BIN)/golangci-lint run

infra-check-compose: $(call stamps,$(MINIO) $(REGISTRY) $(MC)) debian-infra
	cd infra/check && go test -count=1 -run Compose .

infra-check-helm: $(call stamps,$(HELM)) debian-infra
	cd infra/check && go test -count=1 -run 'Chart|Nodes' .

infra-check-systemd: debian-infra
	cd infra/check && go test -count=1 -run Systemd .

# The policy of the Terraform module for MinIO. infra-check-terraform writes it, e2e runs with its permissions.
POLICY := $(CURDIR)/.tools/terraform/granted.json

infra-check-terraform: $(call stamps,$(TFLINT) $(MINIO) $(REGISTRY) $(GOLANGCI)) $(TERRAFORM_TOOLS)
	cd terraform/check && $(BIN)/golangci-lint run && go test -count=1 ./...
	go test -tags e2e -count=1 ./terraform/trial

.tools/bin/tofu .tools/bin/terraform-docs: .tools/bin/%: terraform/check/tools/%/go.mod
	$(build-tool)

.tools/bin/weed .tools/bin/notation: .tools/bin/%: infra/testenv/tools/%/go.mod
	$(build-tool)

$(MOBY) &: infra/testenv/tools/moby/go.mod
	@echo "installing dockerd, buildkitd and buildctl"
	@mkdir -p .tools/moby && cd $(<D) && CGO_ENABLED=0 go build -ldflags='-s -w' -o $(CURDIR)/.tools/moby/ tool
	@mkdir -p $(BIN) && mv .tools/moby/dockerd .tools/bin/dockerd-moby && mv .tools/moby/build* $(BIN)
	@touch $(MOBY)

# Builds the tool named in the prerequisite go.mod.
define build-tool
@echo "installing $(@F)"
@cd $(<D) && CGO_ENABLED=0 go build -ldflags='-s -w' -o $(BIN)/$(@F) tool
@touch $@
endef

.tools/npm:
	@command -v npm >/dev/null || { $(call debian,npm); }
	@mkdir -p .tools && touch $@

.tools/terraform/%.json: $(wildcard terraform/check/schema/*.go) terraform/check/npm.sum | .tools/npm
	@mkdir -p .tools/terraform/$*
	@echo "fetching $(SCHEMA_$*)"
	@cd .tools/terraform/$* && rm -f *.tgz && npm pack --silent $(SCHEMA_$*) >/dev/null && sha256sum --check --quiet --ignore-missing $(CURDIR)/terraform/check/npm.sum
	@cd terraform/check && go run ./schema/write $(CURDIR)/.tools/terraform/$*/*.tgz $(CURDIR)/$@

.PHONY: image
image: ## build the image entrepot:local
	docker build -t entrepot:local --build-arg VERSION="$$(git describe --tags --always --dirty)" \
	  --build-arg REVISION="$$(git rev-parse HEAD)" --build-arg SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct)" .

.PHONY: release
release: $(call stamps,$(CYCLONEDX) $(NFPM)) ## build archives for all PLATFORMS and Linux packages in dist/, with checksums and SBOMs
	CYCLONEDX=$(BIN)/cyclonedx-gomod NFPM=$(BIN)/nfpm infra/release/release.sh dist $(PLATFORMS)

.PHONY: bench
bench: $(call stamps,$(MINIO) $(CRANE)) ## measure how much a hit saves
	go test -tags bench -count=1 -v -run WhatAHitSaves ./cmd/entrepot/bench

.PHONY: bench-fill
bench-fill: $(call stamps,$(MINIO) $(REGISTRY)) ## compare cold pulls with distribution v3 on the same MinIO
	go test -tags bench -count=1 -v -timeout 20m -run 'OneColdPull|TwentyClients|FiftyColdBlobs' ./cmd/entrepot/bench

.PHONY: bench-hit
bench-hit: $(call stamps,$(MINIO) $(REGISTRY) $(BOMBARDIER)) ## compare hot hits with a bare echo handler and distribution v3
	go test -tags bench -count=1 -v -timeout 20m -run 'HotHits' ./cmd/entrepot/bench

.PHONY: bench-stream
bench-stream: $(call stamps,$(MINIO)) ## compare streams with nginx serving the same file and with MinIO
	@$(call debian,$(BENCH_DEBIAN))
	go test -tags bench -count=1 -v -timeout 20m -run 'Streams' ./cmd/entrepot/bench

.PHONY: bench-parts
bench-parts: ## benchmark the parts of a hit COUNT times, for benchstat
	go test -run '^$$' -bench . -benchmem -count $(COUNT) ./upstream ./mirror ./presign ./handlers

.PHONY: bench-start
bench-start: $(call stamps,$(MINIO)) ## compare the time from start to first response with an empty server
	go test -tags bench -count=1 -v -timeout 10m -run 'ColdStart' ./cmd/entrepot/bench

.PHONY: lint
lint: tools-lint ## golangci-lint with import rules, unused code, GitHub workflows, known vulnerabilities
	$(BIN)/golangci-lint run
	@echo deadcode && out=$$($(BIN)/deadcode -test -tags e2e,bench ./...) && test -z "$$out" || { echo "$$out"; exit 1; }
	$(BIN)/actionlint -shellcheck= -pyflakes=
	infra/lint/govulncheck.sh $(BIN)/govulncheck ./...

.PHONY: cross
cross: ## compile the program for other systems
	@for os in $(SYSTEMS); do echo "compiling for $$os"; GOOS=$$os go build -tags $(TAGS) -o /dev/null ./cmd/entrepot || exit 1; done

.PHONY: docs
docs: ## regenerate the tables in docs/
	go test ./cmd/entrepot -run 'TestSettingsAreDocumented|TestCostPage|TestCommandsPage' -update
	go test ./clientconfig -run TestClientsPage -update
	go test ./handlers -run TableMatchesBehavior -update
	go test -tags e2e ./cmd/entrepot/e2e/stores -run TestStoresPageHasAbilityTable -update

.PHONY: docs-terraform
docs-terraform: .tools/bin/terraform-docs ## regenerate the tables in the Terraform modules' READMEs
	@for module in terraform/modules/*/; do $(BIN)/terraform-docs -c terraform/.terraform-docs.yml $$module; done

.PHONY: debian debian-infra debian-stores
debian:
	@$(call debian,$(E2E_DEBIAN))
debian-infra:
	@$(call debian,$(INFRA_DEBIAN))
debian-stores:
	@$(call debian,$(STORES_DEBIAN))

# Builds several tools in parallel: one compiles while another downloads or links.
together = @$(MAKE) -s -j3 $(call stamps,$(sort $(1))) $(2)

.PHONY: tools tools-lint tools-test tools-e2e tools-stores
tools: ## install all tools into .tools
	$(call together,$(LINT_TOOLS) $(TEST_TOOLS) $(E2E_TOOLS) $(INFRA_TOOLS) $(STORES_TOOLS),$(TERRAFORM_TOOLS) $(E2E_BUILT) .tools/bin/weed)
tools-lint:
	$(call together,$(LINT_TOOLS))
tools-test:
	$(call together,$(LINT_TOOLS) $(TEST_TOOLS))
tools-e2e:
	$(call together,$(E2E_TOOLS) $(INFRA_TOOLS),$(TERRAFORM_TOOLS) $(E2E_BUILT))
tools-stores:
	$(call together,$(STORES_TOOLS),.tools/bin/weed)

.PHONY: clean
clean: ## remove bin, dist and .tools
	rm -rf bin dist .tools

.tools/%:
	@mkdir -p $(BIN)
	@echo "installing $(subst ~,/,$*)"
	@GOBIN=$(BIN) CGO_ENABLED=0 go install -ldflags='-s -w' $(subst ~,/,$*)
	@touch $@
