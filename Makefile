# The one place where the versions of tools are pinned.
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
CYCLONEDX   := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
TFLINT      := github.com/terraform-linters/tflint@v0.64.0

# Packages of the npm registry that carry the schemas of Terraform's providers.
SCHEMA_aws    := @cdktf/provider-aws@21.22.1
SCHEMA_google := @cdktf/provider-google@16.12.1
SCHEMA_minio  := @pulumi/minio@0.17.1

TEST_TOOLS := $(MINIO) $(VERSITYGW) $(REGISTRY)
LINT_TOOLS := $(STATICCHECK) $(GOVULNCHECK)
E2E_TOOLS  := $(MINIO) $(REGISTRY) $(CRANE) $(CONFORMANCE) $(CONTAINERD) $(CTR) $(SHIM) $(TOXIPROXY) $(CYCLONEDX)
E2E_DEBIAN := docker.io podman skopeo runc busybox-static ca-certificates strace nginx-light haproxy
INFRA_TOOLS  := $(MINIO) $(REGISTRY) $(MC) $(HELM) $(TFLINT)
# OpenTofu and terraform-docs cannot be installed by name and version; they are pinned in terraform/check/tools.
TERRAFORM_TOOLS := .tools/bin/tofu .tools/bin/terraform-docs $(patsubst %,.tools/terraform/%.json,aws google minio)
INFRA_DEBIAN := nginx-light prometheus systemd busybox-static
BENCH_DEBIAN := nginx-light

# Without what aws-lambda-go has for a runtime that is gone since 2023, and 12 MB with it.
TAGS := lambda.norpc

BIN := $(CURDIR)/.tools/bin
# A stamp for each tool and version, so that a changed pin is installed anew.
stamps = $(addprefix .tools/,$(subst /,~,$(1)))

# Installs those of Debian's packages that are missing. Where there is systemd the load balancers among them would be
# started, on port 80, and Prometheus: they are masked until the next boot.
debian = dpkg -s $(1) >/dev/null 2>&1 || { \
	{ [ ! -d /run/systemd/system ] || systemctl mask --runtime nginx haproxy prometheus; } && \
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(1); }

# How often each of bench-parts is run: benchstat wants to see how they vary.
COUNT ?= 10

# Where a release runs.
PLATFORMS ?= linux/amd64 linux/arm64 linux/arm/v7 darwin/amd64 darwin/arm64

export ENTREPOT_TEST_STRICT ?= 1

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/entrepot
	CGO_ENABLED=0 go build -trimpath -tags $(TAGS) -o bin/entrepot ./cmd/entrepot

.PHONY: lambda
lambda: bin/lambda-arm64.zip bin/lambda-amd64.zip ## build the functions for AWS Lambda, bin/lambda-{arm64,amd64}.zip

.PHONY: FORCE
bin/lambda-%.zip: FORCE
	GOOS=linux GOARCH=$* infra/release/compile.sh $(CURDIR)/bin/lambda-$*/bootstrap
	rm -f $@
	go run github.com/aws/aws-lambda-go/cmd/build-lambda-zip -o $@ bin/lambda-$*/bootstrap

.PHONY: run
run: ## serve with no configuration: ./data, Docker Hub, port 5000
	go run ./cmd/entrepot serve

.PHONY: test
test: tools-test lint ## lint, then all tests with the race detector, on real MinIO and versitygw
	go test -count=1 -run Allocates ./handlers # the race detector would count too
	@# More tests at once than there are cores, since most wait. Of packages only those of the stores, which wait most of all.
	go test -race -p 3 -parallel 4 -timeout 10m ./backend/...
	go test -race -p 1 -parallel 4 -timeout 10m $$(go list ./... | grep -v /backend)

.PHONY: e2e
e2e: tools-e2e debian infra-check ## infra-check, then pull with the real docker, containerd, podman, skopeo and crane; conformance (as root)
	ENTREPOT_TEST_POLICY=$(POLICY) go test -tags e2e -count=1 -v -timeout 18m ./cmd/entrepot/e2e
	ENTREPOT_TEST_POLICY=$(POLICY) go test -tags e2e -count=1 -v -timeout 60m ./cmd/entrepot/e2e/cluster

.PHONY: e2e-cluster
e2e-cluster: $(call stamps,$(MINIO) $(CRANE) $(TOXIPROXY)) debian ## three replicas that die all the time behind nginx and HAProxy (ENTREPOT_CLUSTER_DURATION, default 3m)
	go test -tags e2e -count=1 -v -timeout 60m ./cmd/entrepot/e2e/cluster

.PHONY: conformance
conformance: $(call stamps,$(E2E_TOOLS)) ## only the OCI conformance suite
	go test -tags e2e -count=1 -v -timeout 5m -run Conformance ./cmd/entrepot/e2e

.PHONY: infra-check infra-check-compose infra-check-helm infra-check-systemd infra-check-terraform
infra-check: infra-check-compose infra-check-helm infra-check-systemd infra-check-terraform ## check what is shipped beside the program: compose, Helm, systemd, Terraform
	cd infra/check && go vet ./...

infra-check-compose: $(call stamps,$(MINIO) $(REGISTRY) $(MC)) debian-infra
	cd infra/check && go test -count=1 -run Compose .

infra-check-helm: $(call stamps,$(HELM)) debian-infra
	cd infra/check && go test -count=1 -run 'Chart|Nodes' .

infra-check-systemd: debian-infra
	cd infra/check && go test -count=1 -run Systemd .

# The policy of the module for MinIO, which the checks of Terraform write down, and e2e runs on.
POLICY := $(CURDIR)/.tools/terraform/granted.json

infra-check-terraform: $(call stamps,$(TFLINT) $(MINIO) $(REGISTRY) $(STATICCHECK)) $(TERRAFORM_TOOLS)
	cd terraform/check && go vet ./... && $(BIN)/staticcheck ./... && go test -count=1 ./...
	go test -tags e2e -count=1 ./terraform/trial

.tools/bin/tofu .tools/bin/terraform-docs: .tools/bin/%: terraform/check/tools/%/go.mod
	@echo "installing $*"
	@cd terraform/check/tools/$* && CGO_ENABLED=0 go build -ldflags='-s -w' -o $(BIN)/$* tool
	@touch $@

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
release: $(call stamps,$(CYCLONEDX)) ## archives for all PLATFORMS in dist/, with checksums and bills of materials
	CYCLONEDX=$(BIN)/cyclonedx-gomod infra/release/release.sh dist $(PLATFORMS)

.PHONY: bench
bench: $(call stamps,$(MINIO) $(CRANE)) ## measure what a hit saves
	go test -tags bench -count=1 -v -run WhatAHitSaves ./cmd/entrepot/bench

.PHONY: bench-fill
bench-fill: $(call stamps,$(MINIO) $(REGISTRY)) ## measure cold pulls beside distribution v3 on the same MinIO
	go test -tags bench -count=1 -v -timeout 20m -run 'OneColdPull|TwentyClients|FiftyColdBlobs' ./cmd/entrepot/bench

.PHONY: bench-hit
bench-hit: $(call stamps,$(MINIO) $(REGISTRY) $(BOMBARDIER)) ## measure hot hits beside a bare echo handler and distribution v3
	go test -tags bench -count=1 -v -timeout 20m -run 'HotHits' ./cmd/entrepot/bench

.PHONY: bench-stream
bench-stream: $(call stamps,$(MINIO)) ## measure streams beside nginx serving the same file and MinIO itself
	@$(call debian,$(BENCH_DEBIAN))
	go test -tags bench -count=1 -v -timeout 20m -run 'Streams' ./cmd/entrepot/bench

.PHONY: bench-parts
bench-parts: ## benchmarks of the parts of a hit, COUNT times each, for benchstat
	go test -run '^$$' -bench . -benchmem -count $(COUNT) ./upstream ./mirror ./presign ./handlers

.PHONY: bench-start
bench-start: $(call stamps,$(MINIO)) ## measure from a process's start to its first answer, beside an empty server
	go test -tags bench -count=1 -v -timeout 10m -run 'ColdStart' ./cmd/entrepot/bench

.PHONY: lint
lint: tools-lint ## gofmt, vet, staticcheck, the rooms' import directions, govulncheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet -tags e2e,bench,failpoints ./... # go test vets the rest
	$(BIN)/staticcheck -tags e2e,bench ./...
	infra/lint/rooms.sh
	infra/lint/govulncheck.sh $(BIN)/govulncheck ./...

.PHONY: docs
docs: ## write the tables in README.md, docs/cost.md and docs/freshness.md anew
	go test ./cmd/entrepot -run 'TestTheREADMEHasEverySetting|TestTheCostPage' -update
	go test ./handlers -run TestWhatIsAnsweredWhenIsAsDocumented -update

.PHONY: docs-terraform
docs-terraform: .tools/bin/terraform-docs ## write the tables in the modules' READMEs anew
	@for module in terraform/modules/*/; do $(BIN)/terraform-docs -c terraform/.terraform-docs.yml $$module; done

.PHONY: debian debian-infra
debian:
	@$(call debian,$(E2E_DEBIAN))
debian-infra:
	@$(call debian,$(INFRA_DEBIAN))

# Several at once: while one is downloaded or linked, another is compiled.
together = @$(MAKE) -s -j3 $(call stamps,$(sort $(1))) $(2)

.PHONY: tools tools-lint tools-test tools-e2e
tools: ## install all tools into .tools
	$(call together,$(LINT_TOOLS) $(TEST_TOOLS) $(E2E_TOOLS) $(INFRA_TOOLS),$(TERRAFORM_TOOLS))
tools-lint:
	$(call together,$(LINT_TOOLS))
tools-test:
	$(call together,$(LINT_TOOLS) $(TEST_TOOLS))
tools-e2e:
	$(call together,$(E2E_TOOLS) $(INFRA_TOOLS),$(TERRAFORM_TOOLS))

.PHONY: clean
clean: ## remove what was built and installed here
	rm -rf bin dist .tools

.tools/%:
	@mkdir -p $(BIN)
	@echo "installing $(subst ~,/,$*)"
	@GOBIN=$(BIN) CGO_ENABLED=0 go install -ldflags='-s -w' $(subst ~,/,$*)
	@touch $@
