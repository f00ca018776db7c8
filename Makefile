# `make test` does all that CI does. It installs what the tests need beside Go:
# npm packages by `npm ci`; Chromium, Firefox, Node.js, npm, Python and Redis by apt, where it runs as
# root on Debian.

GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
# Fuzz targets are run one by one for FUZZTIME each by `make fuzz`.
FUZZTIME ?= 2m

.PHONY: test check setup fuzz bench vectors mutants conformance-originals

test: check setup vectors
	SCENARIOS=1000 $(GO) test -run 'TestScenarios$$' ./internal/mesh
	MESHPAIR_TEST_ALL=1 $(GO) test -race -timeout 30m ./...

# The suite on the originals, and ours and theirs together; `make test` does that too, but for
# most of what is in Firefox.
conformance-originals: setup
	MESHPAIR_TEST_ALL=1 $(GO) test -timeout 30m ./conformance -firefox

check:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'gofmt would change:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

setup:
	./conformance/originals/setup.sh

vectors: setup
	node testdata/vectors/generate.mjs --check
	node testdata/vectors/sealed/generate.mjs --check
	node testdata/vectors/sealed/pairing.mjs --check

fuzz:
	./internal/fuzz.sh $(FUZZTIME)

# Breaks each rule of the contract of delivery in turn; `make test` does so with every fourth.
mutants:
	$(GO) test -v -timeout 60m -run TestMutants ./internal/mesh -mutants all

bench:
	$(GO) test -run '^$$' -bench . ./benchmarks
