#!/bin/sh
# demo.sh PYRO: the main job once, told step by step.
set -eu
pyro=$1
echo "This host runs Linux $(uname -r). A guest is about to run another kernel."
echo
echo "\$ pyro run debian:12 -- uname -r"
guest=$("$pyro" run debian:12 -- uname -r)
echo "$guest"
if [ "$guest" = "$(uname -r)" ]; then
  echo "demo: the guest runs the host's kernel: that was no virtual machine" >&2
  exit 1
fi
echo
echo "\$ pyro run debian:12 -- git --version"
exec "$pyro" run --quiet debian:12 -- git --version
