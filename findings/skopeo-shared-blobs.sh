#!/usr/bin/env bash
# Expected: "skopeo copy --dest-shared-blob-dir DIR … oci:LAYOUT" writes blobs to DIR, so LAYOUT may be on a small or another disk.
# Seen: it writes each blob to a temporary file in LAYOUT and renames it into DIR. If they are on two file systems, the copy fails
#       with "invalid cross-device link"; on one, it works, and a copy that is killed leaves its files in LAYOUT.
#       So pyro has its layouts beside the blobs.
# Versions: skopeo 1.9.3.
# Source: skopeo-copy(1), "--dest-shared-blob-dir": "Directory to use to share blobs across OCI repositories."
set -euo pipefail
work=$(mktemp -d)
other=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$work" "$other"' EXIT
cd "$work"
[[ $(stat -c %d "$work") != $(stat -c %d "$other") ]] || { echo "only one file system here" >&2; exit 2; }
packages=(skopeo=1.9.3+ds1-1+b10)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
mkdir -p image/blobs/sha256 tree
echo hello > tree/file
blob() { local hex; hex=$(sha256sum "$1" | cut -d' ' -f1); cp "$1" "image/blobs/sha256/$hex"; printf '"digest":"sha256:%s","size":%s' "$hex" "$(stat -c %s "$1")"; }
tar -C tree -cf layer.tar file
printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$(sha256sum layer.tar | cut -d' ' -f1)" > config
gzip -n layer.tar
printf '{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",%s}]}' \
  "$(blob config)" "$(blob layer.tar.gz)" > manifest
printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",%s}]}' "$(blob manifest)" > image/index.json
echo '{"imageLayoutVersion":"1.0.0"}' > image/oci-layout
echo '{"default":[{"type":"insecureAcceptAnything"}]}' > policy
copy() { root/usr/bin/skopeo --policy policy copy -q --dest-shared-blob-dir "$1" oci:image "oci:$2:a"; }
root/usr/bin/skopeo --version
status=0
copy "$other/blobs" layout-1 2> error || status=$?
printf 'on two file systems: exit status %s: %s\n' "$status" "$(grep -o 'invalid cross-device link' error | sed -n 1p)"
copy "$work/blobs" layout-2
printf 'on one: exit status 0, %s blobs in the shared directory\n' "$(ls blobs/sha256 | wc -l)"
[[ $status == 1 ]] && grep -q 'invalid cross-device link' error && [[ $(ls blobs/sha256 | wc -l) == 3 ]]
