#!/bin/sh
# pull_test_environments.sh PYRO CACHE: installs what guest tests boot, unless it is there.
set -eu
PYRO_CACHE_DIR=$2
PYRO_STATE_DIR=$2/pull-state
export PYRO_CACHE_DIR PYRO_STATE_DIR
for environment in debian:12-base debian:12; do
  "$1" env pull "$environment"
done
