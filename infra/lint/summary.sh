#!/usr/bin/env bash
# Prints the summary of `make test`: the checks and tests that could not run.
set -euo pipefail
if [[ -s $ENTREPOT_TEST_NOT_RUN ]]; then
  sort -u "$ENTREPOT_TEST_NOT_RUN"
else
  echo "all checks and tests ran"
fi
