# The project's commands; their logic is in scripts/ and .ci/. `make` alone lists the targets.
# Local settings: the environment, or .env (see .env.example).
.DEFAULT_GOAL := help
.PHONY: help run keys seal breaker phone admin sagas generate test soak check audit fmt build release deploy network smoke configure invoke-login bench load budget tools-test tools-check clean toolchain watch invoke

# The architecture that is deployed: arm64 or x86_64.
ARCH ?= arm64
# Additional arguments for deploy, bench and load, e.g. `make deploy ARGS=--no-confirm-changeset`.
ARGS ?=
# Set, `make budget` writes the file instead of comparing.
UPDATE ?=

# The name can hold blanks, so the shell expands it, not make.
export FOLDER

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

toolchain:
	@scripts/toolchain.sh

run: toolchain ## serve every function on 127.0.0.1:9000 (PORT, REDIS_URL, DATA_DIR, WECHAT_BASE_URL change it)
	@cargo run --bin local

keys: toolchain ## generate a set of keys (FOLDER=keys.new writes files and prints the commands for AWS)
	@cargo run --quiet --bin local -- keys $${FOLDER:+"$$FOLDER"}

seal: toolchain ## send standard input as a sealed body: echo '{"code":"…"}' | make seal ARGS="POST http://127.0.0.1:9000/api/v1/user/login"
	@cargo run --quiet --bin local -- seal $(ARGS)

breaker: toolchain ## show or force the circuit breaker in REDIS_URL: ARGS=show, "open 10", "close 10" (minutes), reset
	@cargo run --quiet --bin local -- breaker $(or $(ARGS),show)

phone: toolchain ## take a phone number from its owner: ARGS=release, the number on standard input
	@cargo run --quiet --bin local -- phone $(ARGS)

# The shell expands it, not make, so that nothing in it is a command.
admin: toolchain ## make a user an administrator: ID=<user id> (in the table of the settings, else in that of `make run`)
	@test -n "$$ID" || { echo "usage: make admin ID=<user id>" >&2; exit 1; }
	@cargo run --quiet --bin local -- admin "$$ID"

sagas: toolchain ## continue the deletions of accounts that stopped half-way (in the table of the settings, else in that of `make run`)
	@cargo run --quiet --bin local -- sagas

generate: toolchain ## update docs/configuration.md, its Chinese counterpart, .env.example and docs/openapi.json from the code
	@UPDATE=1 cargo test --quiet -p e2e --test project -- up_to_date

test: toolchain ## all tests; installs redis-server, Chromium, the Lambda emulator, cargo-lambda, Node and JOSE libraries if missing
	@scripts/test.sh

soak: toolchain ## the tests of Redis failures and of ten thousand sessions in their long form, with figures (some minutes)
	@scripts/soak.sh

check: toolchain ## format, lints, licences, docs, spelling, template, scripts: everything that is not a test
	@scripts/check.sh

audit: toolchain ## known vulnerabilities in the dependencies (fetches the RustSec database)
	@scripts/audit.sh

fmt: toolchain ## format the Rust code
	@cargo fmt --all

build: toolchain ## release binaries of the deployed functions for Lambda (ARCH=arm64|x86_64)
	@scripts/build.sh $(ARCH)

release: toolchain ## make a release in a folder: VERSION=v… (docs/releases.md)
	@scripts/release.sh "$$VERSION" $${OUT:+"$$OUT"}

deploy: $(if $(RELEASE),,build) ## build, then deploy to AWS with SAM (docs/deploy.md lists its variables); RELEASE=v… or a folder: without a build
	@scripts/deploy.sh $(ARCH) $(ARGS)

network: ## create or change the network stack: ARGS="CacheMaxGb=5 …" (docs/deploy.md lists its parameters)
	@scripts/network.sh $(ARGS)

smoke: ## ask a deployment a few questions: URL=https://…
	@scripts/smoke.sh "$$URL"

configure: ## change the running stack, without a build: NAME=value … (docs/deploy.md lists the names)
	@scripts/configure.sh

watch: toolchain ## run the functions as Lambda does, with `cargo lambda watch`, on port 9001 (INVOKE_PORT)
	@scripts/watch.sh

invoke: ## send a sample event to `make watch`: ARGS="health --data-file events/health/health.json"
	@scripts/invoke.sh $(ARGS)

invoke-login: toolchain ## a complete login with `cargo lambda watch` and `cargo lambda invoke login`
	@scripts/invoke-login.sh

bench: toolchain ## measure cold start, latency, CPU, memory, throughput and growth of the release build (ARGS=functions, http or growth: one part)
	@scripts/bench.sh $(ARGS)

load: toolchain ## send a realistic mix of requests in an open loop, report in target/load/index.html (ARGS=short; LOAD_URL=http://… a running server)
	@scripts/load.sh $(ARGS)

budget: toolchain ## compare sizes, instructions, allocations, round trips, log with bench/budget.toml (UPDATE=1 writes it)
	@UPDATE=$(UPDATE) scripts/budget.sh

tools-test: ## install what the tests need
	@scripts/tools/redis.sh && scripts/tools/install.sh test clients template guard valkey && scripts/tools/chromium.sh

tools-check: ## install what the checks need
	@scripts/tools/install.sh check clients guard policy

clean: ## remove everything built, the tools and the local data
	@cargo clean && rm -rf .aws-sam .tools .data tests/clients/node_modules miniprogram/sdk/node_modules miniprogram/sdk/dist miniprogram/sdk/miniprogram_dist miniprogram/sdk/build miniprogram/demo/node_modules local/playground/node_modules miniprogram/demo/build miniprogram/demo/src/miniprogram_npm
