#!/bin/sh
# containers.sh PYRO [TASK]: podman in a guest, as docs/containers.md has them: default network, default storage, a
# container that reaches the guest and the archive outside. Outside CI: without KVM the packages take many minutes. A TASK that has
# them already is used as it is. Says "containers: passed" at its end.
set -eu
pyro=$1
task=${2:-$("$pyro" task create -q --network --mem-mib 2048 --ttl-seconds 7200 debian:12)}
echo "task: $task"
"$pyro" task exec -q --timeout-seconds 2h "$task" -- sh -es <<'GUEST'
need() {
  echo "wanted '$1', have '$2'"
  [ "$1" = "$2" ] || exit 1
}
install() {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}
command -v podman crun busybox >/dev/null || install podman crun busybox-static
tree=/tmp/tree
mkdir -p $tree/bin $tree/proc $tree/sys $tree/dev
cp /bin/busybox $tree/bin/
ln -sf busybox $tree/bin/sh
echo of the guest >$tree/index.html
busybox httpd -p 8081 -h $tree
# The guest's own source of packages is outside. Its address and its size are what the guest itself finds.
url=$(sed -n 's#^URIs: *\(http://[^ ]*\).*#\1#p' /etc/apt/sources.list.d/* | head -n 1)
name=$(sed -n 's#^URIs: *https*://\([^/]*\).*#\1#p' /etc/apt/sources.list.d/* | head -n 1)
release=${url:+${url%/}/dists/$(. /etc/os-release && echo "$VERSION_CODENAME")/Release}

# try PROGRAM: what a container of the image own:1 must do.
try() {
  need "from a container" "$($1 run --rm own:1 /bin/sh -c 'echo from a container')"
  get='gate=$(/bin/busybox ip route | /bin/busybox awk "/default/{print \$3}"); /bin/busybox wget -q -O - http://$gate:8081/index.html'
  need "of the guest" "$($1 run --rm own:1 /bin/sh -c "$get")"
  $1 run --rm own:1 /bin/busybox nslookup "$name" | grep -m 1 -A 1 '^Name:'
  [ -n "$release" ] || return 0
  bytes=$(busybox wget -q -O - "$release" | wc -c)
  for _ in 1 2 3; do
    need "$bytes" "$($1 run --rm own:1 /bin/busybox timeout 120 /bin/busybox wget -q -O - "$release" | wc -c)"
  done
}

tar -C $tree -c . | podman import -q - own:1 >/dev/null
need overlay "$(podman info --format '{{.Store.GraphDriverName}}')"
podman info --format '{{.Store.GraphStatus}}' | grep -o 'Native Overlay Diff:true'
try podman
GUEST
echo "containers: passed"
