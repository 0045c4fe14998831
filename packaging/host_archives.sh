#!/usr/bin/env bash
# host_archives.sh FOLDER: writes the package sources of this host into FOLDER/sources, and how its apt reaches them into
# FOLDER/apt.conf.
set -euo pipefail
sources=$1/sources
rm -rf "$sources"
mkdir -p "$sources"
cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null >"$sources/host.list" || true
grep -q '^deb ' "$sources/host.list" || rm "$sources/host.list"
for file in /etc/apt/sources.list.d/*.sources; do if [ -e "$file" ]; then cp "$file" "$sources"; fi; done
apt-config dump | grep '^Acquire::' >"$1/apt.conf"
