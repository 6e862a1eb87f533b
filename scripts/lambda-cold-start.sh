#!/usr/bin/env bash
# How soon a function asks for its first event after it was started, and what it answers to one:
# under a double of AWS's Runtime API on 127.0.0.1, without AWS and without an emulator.
#
#   lambda-cold-start.sh FOLDER [RUNS]     FOLDER holds FUNCTION/bootstrap, FUNCTION or FUNCTION.zip
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 scripts/lambda_cold_start.py "$@"
