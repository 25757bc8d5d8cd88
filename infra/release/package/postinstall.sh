#!/bin/sh
# Restarts entrepot if it is running, in the background, since it first finishes its responses. Does not start it after a new
# installation, which has no settings yet.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
systemctl --no-block try-restart entrepot.service
