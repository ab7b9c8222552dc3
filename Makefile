# Two commands are all that a fresh machine needs: `make run` and `make test`.
# What is compiled lives outside the checkout, in one cache that every checkout and CI share; set WEIR_CACHE (or
# CARGO_TARGET_DIR) to put it elsewhere.

WEIR_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/weir
export WEIR_CACHE
export CARGO_TARGET_DIR ?= $(WEIR_CACHE)/target
# Guests are workspaces of their own (other target, other profile) and have a folder of their own, so that a build
# script that needs them never waits for the lock of the build that runs it.
GUEST_TARGET := $(CARGO_TARGET_DIR)/guests
GUEST_WORKSPACES := guest-sdk/rust examples tests/guests
# How the workspace's own crates are compiled where it matters how fast they are; dependencies always are like that.
OPTIMISED := CARGO_PROFILE_DEV_OPT_LEVEL=3 CARGO_PROFILE_DEV_DEBUG_ASSERTIONS=false CARGO_PROFILE_DEV_OVERFLOW_CHECKS=false
FLINK_FIGURES := $(CARGO_TARGET_DIR)/flink/state.csv

.PHONY: help run test check bench flink doc setup fmt install fuzz soak

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

run: setup ## build, start a node, run the word count on this repository's own documents; Ctrl-C stops
	@scripts/run.sh

test: setup ## build what is needed and run every test
	cargo build --workspace --bins
	cargo test --workspace
	@set -e; for workspace in $(GUEST_WORKSPACES); do \
	  echo "testing $$workspace"; \
	  CARGO_TARGET_DIR=$(GUEST_TARGET) cargo test --manifest-path $$workspace/Cargo.toml --workspace; \
	done

check: setup ## formatting, lints, documentation, licences, duplicate versions, dependency directions
	cargo fmt --all --check
	@set -e; for workspace in $(GUEST_WORKSPACES); do \
	  echo "checking $$workspace"; \
	  cargo fmt --all --check --manifest-path $$workspace/Cargo.toml; \
	  CARGO_TARGET_DIR=$(GUEST_TARGET) cargo clippy --manifest-path $$workspace/Cargo.toml --workspace --all-targets -- -D warnings; \
	done
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	cargo test --workspace --test tidy

# The workspace's own crates are compiled as a release would be; the dependencies are those of `make test`.
bench: setup ## measure; prints tables of ratios
	FLINK=$(wildcard $(FLINK_FIGURES)) $(OPTIMISED) cargo bench --profile dev --workspace

flink: ## measure Flink's own state on this machine, for `make bench` to stand beside (Maven, Java 17; 10 minutes with nothing else running)
	mvn --quiet --file tests/flink/pom.xml -Dtarget=$(CARGO_TARGET_DIR)/flink \
	  compile dependency:build-classpath -Dmdep.outputFile=$(CARGO_TARGET_DIR)/flink/classpath
	java -cp $(CARGO_TARGET_DIR)/flink/classes:$$(cat $(CARGO_TARGET_DIR)/flink/classpath) \
	  org.openjdk.jmh.Main weir.StateAccess -rf csv -rff $(FLINK_FIGURES)

fuzz: setup ## fuzz one target for 10 minutes: make fuzz TARGET=entry, checkpoint-file, job-file, coordinator, imports
	scripts/fuzz.sh $(or $(TARGET),entry)

soak: setup ## try to break every promise for hours, where the last run stopped: make soak [TOPIC=engine] [FRESH=1 or SEED=7] [SECONDS=1800]
	cargo build --workspace --bins
	$(CARGO_TARGET_DIR)/debug/soak $(TOPIC) $(if $(FRESH),--fresh) $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS))

install: setup ## put the `weir` command where cargo puts commands
	$(OPTIMISED) cargo build --workspace --bins
	install -D $(CARGO_TARGET_DIR)/debug/weir $(or $(CARGO_HOME),$(HOME)/.cargo)/bin/weir

doc: ## the documentation of the code, in $(CARGO_TARGET_DIR)/doc
	cargo doc --workspace --no-deps --document-private-items

setup: ## install what is missing; says what it does, does nothing twice
	@scripts/setup.sh

fmt: ## format everything
	cargo fmt --all
	@for workspace in $(GUEST_WORKSPACES); do cargo fmt --all --manifest-path $$workspace/Cargo.toml; done
