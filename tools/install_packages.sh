#!/bin/sh
# install_packages.sh SECTION…: installs what tools/packages.txt lists for them and this host, and is not there yet. Needs root or
# sudo only then.
set -eu
missing=
for package in $("$(dirname "$0")/list_packages.sh" "$@"); do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
as_root=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "pyro needs these packages, and sudo or root to install them:$missing" >&2; exit 1; }
  as_root=sudo
fi
echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
# shellcheck disable=SC2086 # a list of words
$as_root apt-get install -q -y --no-install-recommends $missing
