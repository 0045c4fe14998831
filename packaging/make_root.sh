#!/usr/bin/env bash
# make_root.sh RELEASE ROOT WORK: makes ROOT, a root file system of that release of Debian with the means to install more of it,
# from the archives that this host uses and as it uses them. A root that is complete stays as it is. WORK is for files on the way.
set -euo pipefail
release=$1
root=$2
work=$3
if [ -e "$root/.complete" ]; then exit 0; fi
echo "making a root of Debian's $release"
rm -rf "$root"
# shellcheck source=/dev/null
here=$(. /etc/os-release && echo "$VERSION_CODENAME")
"$(dirname "$0")/host_archives.sh" "$work"
# The archives of one release have the same addresses as those of another, and name it in their suites.
if [ "$release" != "$here" ]; then sed -i "/^\(deb \|Suites:\)/s/\b$here/$release/g" "$work/sources"/*; fi
mmdebstrap --quiet --mode=root --variant=apt --aptopt="$work/apt.conf" --include=ca-certificates,mount "$release" "$root" "$work/sources"/*
rm -rf "$root/etc/apt/sources.list" "$root/etc/apt/sources.list.d"
mkdir -p "$root/etc/apt/sources.list.d" "$root/usr/local/share/ca-certificates"
install -m644 "$work/sources"/* "$root/etc/apt/sources.list.d"
install -m644 "$work/apt.conf" "$root/etc/apt/apt.conf.d/99host"
cp -rn /usr/share/keyrings/. "$root/usr/share/keyrings"
# Authorities that this host trusts beyond Debian's own are needed to reach its archives.
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
touch "$root/.complete"
