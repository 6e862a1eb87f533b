# What people do with this repository. Each target is one script in scripts/, which says more.
#
#   make doctor               what is missing on this machine, and how to get it
#   make up                   Daywatch and an agent on this host
#                             LISTEN=127.0.0.1:9595  DATA=daywatch-data  WEBHOOK=https://…
#   make trip                 the demo alert, from the value to the delivery, with times
#   make cloud-local          the same on an emulator of AWS on this host; `make cloud-local-down` stops it
#                             PORT=4566  EMULATOR=ministack  PAGER_URL=…
#   make deploy               into your AWS account: STACK=daywatch  REGION=eu-central-1
#                             PAGER_URL=https://…  MAIL=…; `make destroy` removes it
#   make agent-install-line   the line that installs an agent on a host: STACK=daywatch
#   make agent-packages       the agent's binary for old and new distributions, and its Debian package
#   make test                 every test; `make lint` is what the compiler and clippy say
#
# A variable may stand on the command line or in the environment.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help doctor up trip agent-packages cloud-local cloud-local-down deploy destroy agent-install-line page build test lint soak bench fuzz deps-test

DATA ?= daywatch-data
export DATA LISTEN WEBHOOK

help:
	@sed -n '/^$$/q;s/^# \{0,1\}//p' Makefile

doctor:
	@scripts/doctor.sh

up:
	@scripts/up.sh

trip:
	@scripts/trip.sh

# Variables of these stand at the head of each script.
cloud-local cloud-local-down deploy destroy agent-install-line:
	@scripts/$@.sh

# The page alone, into dashboard/dist; the server packs it into its binary.
page:
	@scripts/page.sh

# The binaries of `make up`, without starting them.
build: page
	@scripts/build.sh

test:
	@scripts/test.sh

lint:
	@scripts/lint.sh

# The same tests with far more random lives of the buffer, the store and the processes.
soak:
	@scripts/soak.sh

# Every decoder on damaged inputs, a million each.
fuzz:
	@scripts/fuzz.sh

# The figures that the documents quote, on this machine, beside their anchors.
bench:
	@scripts/bench.sh

# Debian's packages that some tests need: a browser, Nagios plugins, collectd.
deps-test:
	@scripts/deps-test.sh

# The agent for hosts: binaries for old and new distributions, checksums, a Debian package.
agent-packages:
	@scripts/agent-packages.sh
