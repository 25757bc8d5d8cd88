#!/usr/bin/env bash
# Prints the section of CHANGELOG.md for a version, and fails if there is none: notes.sh VERSION
set -euo pipefail
cd "$(dirname "$0")/../.."
notes=$(awk -v version="${1#v}" '
  /^## / { inside = ($2 == version || $2 == "[" version "]"); next }
  inside { print }' CHANGELOG.md)
[[ -n $notes ]] || { echo "CHANGELOG.md has no section for ${1#v}" >&2; exit 1; }
printf '%s\n' "$notes"
