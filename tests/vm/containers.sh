#!/bin/sh
# containers.sh PYRO [TASK]: podman, crun and Debian's Docker in a guest, as docs/containers.md has them: default network, default storage, a
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

mkdir -p /tmp/bundle
cp -a $tree /tmp/bundle/rootfs
(cd /tmp/bundle
  crun spec
  sed -i 's/"terminal": true/"terminal": false/; s#"sh"#"/bin/sh", "-c", "echo from crun"#' config.json
  need "from crun" "$(crun run own)")

# Debian's docker.io. containerd goes first: dockerd gives one of its own 15 s to start, which is too short without KVM.
command -v dockerd >/dev/null || install --no-install-recommends docker.io
# wait_for FILE TEXT: until a log has it. A client that asks again and again would take the CPU from what it waits for.
wait_for() {
  left=900
  until grep -q "$2" "$1"; do
    left=$((left - 1))
    [ $left -gt 0 ] || { tail "$1"; exit 1; }
    sleep 1
  done
}
if ! docker version >/dev/null 2>&1; then
  setsid containerd >/var/log/containerd.log 2>&1 </dev/null &
  wait_for /var/log/containerd.log 'successfully booted'
  setsid dockerd --containerd /run/containerd/containerd.sock >/var/log/dockerd.log 2>&1 </dev/null &
  wait_for /var/log/dockerd.log 'API listen on'
fi
tar -C $tree -c . | docker import - own:1 >/dev/null
need overlay2 "$(docker info --format '{{.Driver}}')"
need runc "$(docker info --format '{{.DefaultRuntime}}')"
try docker
GUEST
echo "containers: passed"
