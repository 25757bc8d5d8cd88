#!/usr/bin/env bash
# The last words of `make test`: what could not run.
set -euo pipefail
if [[ -s $ENTREPOT_TEST_NOT_RUN ]]; then
  sort -u "$ENTREPOT_TEST_NOT_RUN"
else
  echo "all checks and tests ran"
fi
