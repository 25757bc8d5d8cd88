#!/usr/bin/env bash
# Reports that a check could not run, and records it for the summary of `make test`: not-run.sh CHECK REASON
set -euo pipefail
line="NOT RUN: $1: $2"
echo "$line"
if [[ -n ${ENTREPOT_TEST_NOT_RUN:-} ]]; then
  mkdir -p "$(dirname "$ENTREPOT_TEST_NOT_RUN")"
  printf '%s\n' "$line" >>"$ENTREPOT_TEST_NOT_RUN"
fi
