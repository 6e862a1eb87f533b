# What people do with this repository. Each target is one script in scripts/, which says more.
#
#   make doctor               what is missing on this machine, and how to get it
#   make up                   Daywatch and an agent on this host
#                             LISTEN=127.0.0.1:9595  DATA=daywatch-data  WEBHOOK=https://…
#   make trip                 the demo alert, from the value to the delivery, with times
#   make test                 every test; `make lint` is what the compiler and clippy say
#
# A variable may stand on the command line or in the environment.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help doctor up trip page build test lint soak bench deps-test

DATA ?= daywatch-data
export DATA LISTEN WEBHOOK

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

doctor:
	@scripts/doctor.sh

up:
	@scripts/up.sh

trip:
	@scripts/trip.sh

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

# The figures that the documents quote, on this machine, beside their anchors.
bench:
	@scripts/bench.sh

# Debian's packages that some tests need: a browser, Nagios plugins, collectd.
deps-test:
	@scripts/deps-test.sh
