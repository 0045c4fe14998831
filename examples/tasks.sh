#!/bin/sh
# tasks.sh [ENVIRONMENT]: a workspace that stays over several commands, then its results.
set -eu
environment=${1:-debian:12}
work=$(mktemp -d)
mkdir "$work/project"
echo "remember the milk" >"$work/project/notes.txt"

id=$(pyro task create -q --source-path "$work/project" "$environment")
trap 'pyro task delete "$id"; rm -rf "$work"' EXIT

# Words run as they are; for pipes give a shell. The exit code is the command's own.
pyro task exec -q "$id" -- git init -q .
pyro task exec -q --timeout-seconds 120 "$id" -- sh -c 'git add . && git ls-files | tee listing'
pyro task exec -q "$id" -- test -e no-such-file || echo "exit code $?"

pyro task export -q "$id" . "$work/results"
ls "$work/results"
