#!/usr/bin/env bash
# make_python_dist.sh BUILD OUTPUT: a wheel of what BUILD has built, and a source distribution of the tree. No network is used.
set -euo pipefail
umask 022
build=$(realpath "$1")
output=$(realpath "$2")
cd "$(dirname "$0")/.."
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
# From a copy, so that setuptools leaves nothing in the tree.
git ls-files -z --cached --others --exclude-standard | xargs -0 -I{} sh -c '[ -e "$1" ] && cp --parents "$1" "$2"' sh {} "$stage"
cd "$stage"
export PYRO_PREBUILT=$build
/usr/bin/python3 -m build --no-isolation --sdist --wheel --outdir "$output" . >"$stage/log" 2>&1 || { cat "$stage/log" >&2; exit 1; }
ls "$output"/pyro_mcp-*.whl "$output"/pyro[-_]mcp-*.tar.gz
