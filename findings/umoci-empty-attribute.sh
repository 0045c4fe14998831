#!/usr/bin/env bash
# Expected: an attribute without a value that a layer states is on the unpacked file, as GNU tar restores it from the same layer.
# Seen: umoci unpacks the file without that attribute and exits with 0. To POSIX a record without a value takes back an earlier one, and the tar
#       reader of Go, which umoci uses, keeps to that. GNU tar takes it for an empty value. So an empty attribute needs another way into an image.
# Versions: umoci 0.4.7, GNU tar 1.34.
# Source: POSIX, pax, "pax Extended Header": a value of length zero deletes what was said before; the image specification, layer.md, has
#         attributes as SCHILY.xattr records and names no exception.
set -euo pipefail
[[ $(id -u) == 0 ]] || { echo "only root can try this" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(umoci=0.4.7+ds-3+b7 tar=1.34+dfsg-1.2+deb12u1 attr=1:2.5.1-4)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
PATH=$PWD/root/usr/bin:$PWD/root/bin:$PATH
mkdir -p image/blobs/sha256 tree by-tar
echo text > tree/file
setfattr -n user.full -v 1 tree/file || { echo "the file system keeps no attributes" >&2; exit 2; }
setfattr -n user.empty tree/file
tar --format=pax --xattrs -cf layer.tar -C tree file
blob() { local hex; hex=$(sha256sum "$1" | cut -d' ' -f1); cp "$1" "image/blobs/sha256/$hex"; printf '"digest":"sha256:%s","size":%s' "$hex" "$(stat -c %s "$1")"; }
printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$(sha256sum layer.tar | cut -d' ' -f1)" > config
printf '{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},"layers":[{"mediaType":"%s",%s}]}' \
  "$(blob config)" application/vnd.oci.image.layer.v1.tar "$(blob layer.tar)" > manifest
printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",%s,"annotations":{"org.opencontainers.image.ref.name":"a"}}]}' \
  "$(blob manifest)" > image/index.json
echo '{"imageLayoutVersion":"1.0.0"}' > image/oci-layout
umoci --version
tar --version | sed -n 1p
names() { attr -lq "$1" | sort | tr '\n' ' '; }
tar --xattrs -xf layer.tar -C by-tar
umoci raw unpack --image image:a by-umoci
printf 'layer: %s\ntar:   %s\numoci: %s\n' "$(names tree/file)" "$(names by-tar/file)" "$(names by-umoci/file)"
[[ $(names by-tar/file) == 'empty full ' && $(names by-umoci/file) == 'full ' ]]
