#!/bin/sh
# how_long.sh BUILD JOBS: says what `make demo` is about to do and how long that takes where nothing is there yet.
set -eu
build=$1
jobs=$2
[ ! -x "$build/bin/pyro" ] || exit 0
# Seconds of one core that compiling takes; measured, see docs/design/0010-build-time.md.
compiling=$(((270 / jobs + 59) / 60))
echo "pyro: this takes about $((compiling + 2)) minutes with $jobs compilers at once and a quick network, in these steps:"
echo "  1. packages from Debian, those that are missing (tools/packages.txt)   up to 1 minute"
echo "  2. compiling; the compiler's [n/m] is the progress                     about $compiling minutes"
echo "  3. an environment, debian:12, which is kept                            about 1 minute"
echo "  4. two commands, each in a guest of its own                            a few seconds"
