#!/bin/sh
# Creates the bucket, its lifecycle rules, and a user with only the permissions that entrepot needs. The script is
# idempotent: a second run updates what the first one created.
set -eu
cd "$(dirname "$0")"
mc=${MC:-mc}

$mc alias set store "$MINIO_ENDPOINT" "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD" >/dev/null
$mc mb --ignore-existing "store/$BUCKET"
$mc ilm rule import "store/$BUCKET" <lifecycle.json
sed "s/BUCKET/$BUCKET/g" policy.json >"${TMPDIR:-/tmp}/policy.$$.json"
$mc admin policy create store "entrepot-$BUCKET" "${TMPDIR:-/tmp}/policy.$$.json"
rm "${TMPDIR:-/tmp}/policy.$$.json"
$mc admin user add store "$STORE_USER" "$STORE_SECRET"
$mc admin policy attach store "entrepot-$BUCKET" --user "$STORE_USER"
