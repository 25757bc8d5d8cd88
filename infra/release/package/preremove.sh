#!/bin/sh
# Debian calls this with "remove", Red Hat with 0, if it is no upgrade.
set -e
[ -d /run/systemd/system ] || exit 0
case $1 in
  remove | 0) systemctl disable --now entrepot.service ;;
esac
