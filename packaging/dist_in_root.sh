#!/usr/bin/env bash
# dist_in_root.sh RELEASE OUTPUT WORK: runs `make dist` for another release of Debian, in a root of it below WORK, and puts what it
# makes into OUTPUT. JOBS of the environment limits the compilers that run at once. Needs root. The root and its compiler cache stay, so
# that a second call is quick.
set -euo pipefail
release=$1
output=$(realpath -m "$2")
mkdir -p "$3"
work=$(realpath "$3")
cd "$(dirname "$0")/.."
root=$work/build-$release
packaging/make_root.sh "$release" "$root" "$work"
cp -L /etc/resolv.conf /etc/hosts "$root/etc"
rm -rf "$root/src"
mkdir -p "$root/src"
git ls-files -z --cached --others --exclude-standard | xargs -0 -I{} sh -c '[ ! -e "$1" ] || cp -P --parents "$1" "$2"' sh {} "$root/src"
# shellcheck disable=SC2016 # expanded inside
packaging/in_root.sh "$root" env CCACHE_DIR=/ccache JOBS="${JOBS:-$(nproc)}" sh -euc 'export DEBIAN_FRONTEND=noninteractive
  dpkg --configure -a  # A call that was killed may have left packages half installed.
  apt-get update -qq; apt-get install -qq -y --no-install-recommends make git >/dev/null
  cd /src; git init -q; git add -A; make dist JOBS="$JOBS"'
rm -rf "$output"
mkdir -p "$output"
cp "$root"/src/build/dist/* "$output"
