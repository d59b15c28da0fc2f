SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION = $(patsubst v%,%,$(shell git describe --tags --always --dirty 2>/dev/null || echo unknown))
FUZZTIME ?= 10s
# Packages are tested side by side: threads that wait for each other must not spin while others need their core.
GOMP_SPINCOUNT ?= 1000

# What the demo runs: a search and a training that take a few minutes on two cores.
DEMO_MODEL := third_party/models/all-MiniLM-L6-v2
DEMO_FLAGS ?= --model $(DEMO_MODEL) --task sst2 --data testdata/sst2 --out out/demo --overwrite \
	--search-steps 150 --search-lr 2e-3 --alpha-lr 1e-2 --steps 600 --lr 2e-3

# The peers that bench-peers and bench-cost time; they get an environment of their own. pyarrow reads the demo's data.
PEERS := torch==2.11.0 transformers==5.23.0 peft==0.21.2 pyarrow==26.0.1
PEERS_VENV := third_party/peers-venv
PEERS_INSTALLED := $(PEERS_VENV)/.$(subst $() ,+,$(PEERS))
BENCH_DATA = --model $(DEMO_MODEL) --sst2 testdata/sst2/train-00000-of-00001.parquet $(if $(MRPC),--mrpc $(MRPC))
BENCH_FLAGS ?= $(BENCH_DATA)
COST_FLAGS ?= $(BENCH_DATA)
# GLUE's MRPC is not ours to ship: give its train.tsv as MRPC=FILE, or have the archive beside the checkout.
GLUE_ARCHIVE := ../shared/datasets/glue.tar.xz
MRPC ?= $(if $(wildcard $(GLUE_ARCHIVE)),third_party/data/MRPC.tsv)

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## fetch and build the native parts into third_party (once; later calls take no time)
	@scripts/host_tools.sh
	@scripts/fetch_libtorch.sh
	@scripts/build_shim.sh

.PHONY: cuda-shim
cuda-shim: ## compile the part that calls CUDA, which takes no GPU; from then on setup keeps it up to date
	@scripts/host_tools.sh
	@scripts/fetch_libtorch.sh --cuda-headers
	@scripts/build_shim.sh

$(DEMO_MODEL):
	@scripts/fetch_model.sh $@ >/dev/null || echo "the real MiniLM weights are not to be had: tests with them will be skipped" >&2

.PHONY: build
build: setup ## build bin/autolora
	go build -ldflags '-X main.version=$(VERSION)' -o bin/autolora ./cmd/autolora

.PHONY: demo
demo: build ## set everything up, search ranks and train on real SST-2 data, write out/demo
	@scripts/fetch_model.sh $(DEMO_MODEL) >/dev/null
	bin/autolora run $(DEMO_FLAGS)

# The race detector, but for what draws pixels and packs them, which is others' and takes ten times as long under it.
RACE = go test -race $(foreach package,image/... compress/flate github.com/golang/freetype/... golang.org/x/image/...,-gcflags=$(package)=-race=false)

# Every part of make test runs, whatever the others say, and then it fails if one did. Tests start hundreds of processes:
# the race detector's second of sleep at the end of each is not for them. The last two parts go over a hundred thousand
# texts and 8,000 damaged files, for which the detector takes minutes: it gets some of them.
.PHONY: test
test: setup $(DEMO_MODEL) ## check the format, vet, and run all tests with the race detector
	@failed=; part() { echo "$$*"; "$$@" || failed=yes; }; \
	unformatted=$$(gofmt -l atomicfile autolora cmd data foreign human nn plainjson torchbind); \
	if [[ -n $$unformatted ]]; then echo "not formatted, run gofmt -w:" $$unformatted >&2; failed=yes; fi; \
	export GOMP_SPINCOUNT=$(GOMP_SPINCOUNT) GORACE=atexit_sleep_ms=0; \
	part $(RACE) -timeout 20m -vet=all $$(go list ./... | grep -vE '/data/(metrics/nlg|parquet|tokenizer)(/|$$)'); \
	part go test -race -short ./data/parquet ./data/tokenizer ./data/metrics/nlg/meteor; \
	part go test -vet=all ./data/parquet ./data/tokenizer ./data/metrics/nlg/...; \
	[[ -z $$failed ]]

# What computes, under each instruction set that libtorch, our kernels and oneDNN can be told to stay in. A CPU takes no
# more memory for having less of them.
CPUS_PACKAGES = ./torchbind/... ./nn ./nn/generate ./autolora/...
CPUS_FLAGS ?= -skip 'Memory' -timeout 30m

.PHONY: test-cpus
test-cpus: setup $(DEMO_MODEL) ## run the numeric tests as lesser CPUs would, with one thread and with two
	@failed=; \
	for cpu in default=SSE41 avx2=AVX2 native=; do \
		if [[ $$cpu == native= ]]; then unset ATEN_CPU_CAPABILITY ONEDNN_MAX_CPU_ISA; \
		else export ATEN_CPU_CAPABILITY=$${cpu%=*} ONEDNN_MAX_CPU_ISA=$${cpu#*=}; fi; \
		for threads in 1 2; do \
			echo "$${cpu%=*}, $$threads threads"; \
			OMP_NUM_THREADS=$$threads GOMP_SPINCOUNT=$(GOMP_SPINCOUNT) go test -count=1 $(CPUS_FLAGS) $(CPUS_PACKAGES) || failed+=" $${cpu%=*} with $$threads"; \
		done; \
	done; \
	[[ -z $$failed ]] || { echo "failed:$$failed" >&2; exit 1; }

.PHONY: asan
asan: export LD_LIBRARY_PATH = $(CURDIR)/third_party/asan
# The sanitizer looks for what throws C++'s exceptions when a program starts; libtorch, which needs it, is opened later.
asan: export CGO_LDFLAGS = -g -O2 -Wl,--no-as-needed -lstdc++
# It looks for leaks in the threads' own variables, too, and trips over those of libraries that were opened late.
asan: export ASAN_OPTIONS = allocator_may_return_null=1:intercept_tls_get_addr=0
asan: setup ## run the tests of what calls C++ under the address sanitizer
	@scripts/build_shim.sh --asan
	go test -asan -timeout 30m -skip 'TestSearchMemoryIsFlat|TestRecomputationMemory|TestMemoryOfQuantizedBase' ./torchbind/... ./nn ./nn/generate ./autolora ./autolora/job
	@# What is freed stays in the sanitizer's quarantine, which counts as resident memory: without it, memory is flat.
	ASAN_OPTIONS=$$ASAN_OPTIONS:quarantine_size_mb=0:thread_local_quarantine_size_kb=0 \
		go test -asan -run TestSearchMemoryIsFlat ./autolora

.PHONY: fuzz
fuzz: setup ## run every fuzz target for FUZZTIME (default 10s)
	scripts/fuzz.sh $(FUZZTIME)

$(PEERS_INSTALLED):
	python3 -m venv --clear $(PEERS_VENV)
	$(PEERS_VENV)/bin/pip --disable-pip-version-check install --quiet $(PEERS)
	touch $@

third_party/data/MRPC.tsv: $(GLUE_ARCHIVE)
	@mkdir -p $(@D)
	tar -xJOf $< glue/MRPC/train.tsv >$@.part && mv $@.part $@

.PHONY: bench-peers
bench-peers: build $(PEERS_INSTALLED) $(MRPC) ## time this program and PEFT, in all of its ways, on the same batches (installs PyTorch and PEFT, 5 GB)
	@scripts/fetch_model.sh $(DEMO_MODEL) >/dev/null
	$(PEERS_VENV)/bin/python scripts/bench_peers.py $(BENCH_FLAGS)

.PHONY: bench-cost
bench-cost: build $(PEERS_INSTALLED) $(MRPC) ## time whole trainings, searches and choices of settings in PEFT's LoRA trainings
	@scripts/fetch_model.sh $(DEMO_MODEL) >/dev/null
	$(PEERS_VENV)/bin/python scripts/bench_cost.py $(COST_FLAGS)

# Real weights of a language model, and E2E's training set.
DECODER_MODEL := third_party/models/SmolLM2-135M
E2E_TRAIN ?= third_party/data/e2e/trainset.csv
DECODER_FLAGS ?= --model $(DECODER_MODEL) --e2e $(E2E_TRAIN) --batch-size 8 --batches 8 --dropout 0

.PHONY: bench-decoder
bench-decoder: build $(PEERS_INSTALLED) ## as bench-peers, of a language model, with beam search: E2E_TRAIN=trainset.csv
	@scripts/fetch_smollm2.sh $(DECODER_MODEL) >/dev/null
	$(PEERS_VENV)/bin/python scripts/bench_peers.py $(DECODER_FLAGS)

# E2E's official scorers, and the environment that they need.
E2E_METRICS := third_party/e2e-metrics
SCORE_VENV := third_party/score-venv
E2E_REFERENCES ?= third_party/data/e2e/testset_w_refs.csv

$(E2E_METRICS):
	git clone --depth 1 https://github.com/tuetschek/e2e-metrics $@

$(SCORE_VENV)/.installed:
	python3 -m venv --clear $(SCORE_VENV)
	$(SCORE_VENV)/bin/pip --disable-pip-version-check install --quiet future numpy
	touch $@

.PHONY: bench-score
bench-score: build $(SCORE_VENV)/.installed | $(E2E_METRICS) ## time score e2e and the challenge's own scorers: E2E_REFERENCES=testset_w_refs.csv
	$(SCORE_VENV)/bin/python scripts/bench_score.py --e2e-metrics $(E2E_METRICS) --references $(E2E_REFERENCES)

.PHONY: reproduce-small
reproduce-small: build ## the paper's comparisons as far as two cores go, a day or two: DATA=FOLDER with the tasks' folders
	@scripts/fetch_model.sh $(DEMO_MODEL) >/dev/null
	@scripts/fetch_smollm2.sh $(DECODER_MODEL) >/dev/null
	for name in glue e2e webnlg bionlp ablations cost; do scripts/reproduce_$$name.sh --small $(if $(DATA),--data $(DATA)); done

# A machine with a GPU needs no Go: what make gpu-bundle writes to out/gpu-check on any machine can be carried there.
.PHONY: gpu-bundle
gpu-bundle: setup ## build what gpu-check runs: the program, test binaries and their files, small libraries
	@scripts/gpu_bundle.sh

.PHONY: gpu-check
gpu-check: ## run the tests and benchmarks on this machine's NVIDIA GPU, write out/gpu-check/report.md: PYTHON=python with PyTorch
	@if command -v go >/dev/null; then $(MAKE) --no-print-directory gpu-bundle; fi
	@scripts/gpu_check.sh

.PHONY: dist
dist: setup ## pack the program and all that it needs: dist/autolora-VERSION-linux-x86_64.tar.zst, and -cuda where its parts are
	@scripts/make_dist.sh $(VERSION)

.PHONY: dist-test
dist-test: dist $(DEMO_MODEL) ## run the numeric tests with the libraries of the archive, from which what is not needed is stripped
	@packed=$$(mktemp -d); trap 'rm -rf "$$packed"' EXIT; \
	tar -xf dist/autolora-$(VERSION)-linux-x86_64.tar.zst -C "$$packed" --strip-components 1; \
	LD_LIBRARY_PATH=$$packed/lib go test -count=1 $(CPUS_FLAGS) $(CPUS_PACKAGES)

# The container: make image DEVICE=cpu for one without CUDA, DOCKER=podman for another builder.
DOCKER ?= docker
DEVICE ?= cuda

.PHONY: image
image: ## build the container image autolora:DEVICE (cuda or cpu) with DOCKER, of the archive that make dist packs
	@[[ $(DEVICE) != cuda ]] || scripts/fetch_libtorch.sh --cuda
	@$(MAKE) --no-print-directory dist
	$(DOCKER) build --build-arg ARCHIVE=autolora-$(VERSION)-linux-x86_64$(if $(filter cuda,$(DEVICE)),-cuda).tar.zst \
		--build-arg DEVICE=$(DEVICE) --build-arg VERSION=$(VERSION) -t autolora:$(DEVICE) .

.PHONY: clean
clean: ## remove what was built and written; the cache folder and third_party stay
	rm -rf bin dist out
