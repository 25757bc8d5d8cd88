#!/bin/sh
# Except for upgrades, Debian passes "remove" and Red Hat passes 0.
set -e
[ -d /run/systemd/system ] || exit 0
case $1 in
  remove | 0) systemctl disable --now entrepot.service ;;
esac
