#!/bin/sh
# After an installation nothing is started: the settings come first. After an upgrade a running entrepot is restarted, in
# the background, since it ends its answers before.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
systemctl --no-block try-restart entrepot.service
