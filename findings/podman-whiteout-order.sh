#!/usr/bin/env bash
# Expected: a whiteout removes what the layers below have at its path. A file that the same layer has there stays, wherever the two stand in the tar.
# Seen: the order counts for podman. With the whiteout first each driver keeps the new file, as umoci does in both orders. With the file first the
#       driver vfs removes it, and the image has no such file. The driver overlay refuses the image. So a layer must have its whiteouts first.
# Versions: podman 4.3.1, umoci 0.4.7.
# Source: the image specification, layer.md, "Whiteouts": they apply to lower layers only; files of the same layer are hidden by a later one alone.
set -euo pipefail
[[ $(id -u) == 0 ]] || { echo "only root can try this" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(podman=4.3.1+ds1-8+deb12u1+b3 umoci=0.4.7+ds-3+b7 libsubid4=1:4.13+dfsg1-1+deb12u2 libgpgme11=1.18.0-3+deb12u1 libassuan0=2.5.5-5
          libdevmapper1.02.1=2:1.02.185-2 libcap-ng0=0.8.3-1+b3)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH=$PWD/root/usr/lib/x86_64-linux-gnu:$PWD/root/lib/x86_64-linux-gnu PATH=$PWD/root/usr/bin:$PATH
echo '{"default":[{"type":"insecureAcceptAnything"}]}' > policy
podman --version
umoci --version
blob() { local hex; hex=$(sha256sum "$1" | cut -d' ' -f1); cp "$1" "image/blobs/sha256/$hex"; printf '"digest":"sha256:%s","size":%s' "$hex" "$(stat -c %s "$1")"; }
mkdir -p tree/d
echo old > tree/d/file
tar -C tree -cf lower.tar d
echo new > tree/d/file
touch tree/d/.wh.file
declare -A seen
for first in whiteout file; do
  case $first in
    whiteout) tar -C tree -cf upper.tar d/.wh.file d/file ;;
    file) tar -C tree -cf upper.tar d/file d/.wh.file ;;
  esac
  mkdir -p image/blobs/sha256
  printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]}}' \
    "$(sha256sum lower.tar | cut -d' ' -f1)" "$(sha256sum upper.tar | cut -d' ' -f1)" > config
  layer=application/vnd.oci.image.layer.v1.tar
  printf '{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},"layers":[{"mediaType":"%s",%s},{"mediaType":"%s",%s}]}' \
    "$(blob config)" $layer "$(blob lower.tar)" $layer "$(blob upper.tar)" > manifest
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",%s,"annotations":{"org.opencontainers.image.ref.name":"a"}}]}' \
    "$(blob manifest)" > image/index.json
  echo '{"imageLayoutVersion":"1.0.0"}' > image/oci-layout
  umoci raw unpack --image image:a unpacked
  seen[$first-umoci]=$(cat unpacked/d/file 2>/dev/null || echo none)
  for driver in vfs overlay; do
    engine=(podman --root "$work/$driver" --runroot "$work/run-$driver" --storage-driver $driver)
    if image=$("${engine[@]}" pull -q --signature-policy policy oci:image 2>err); then
      root=$("${engine[@]}" mount "$("${engine[@]}" create "$image" /none 2>/dev/null)")
      seen[$first-$driver]=$(cat "$root/d/file" 2>/dev/null || echo none)
      "${engine[@]}" umount --all > /dev/null 2>&1
    else
      seen[$first-$driver]=refused
      grep -o 'processing tar file.*' err | tail -n 1
    fi
    umount "$work/overlay/overlay" 2>/dev/null || true
  done
  printf '%s first: umoci %s, vfs %s, overlay %s\n' $first "${seen[$first-umoci]}" "${seen[$first-vfs]}" "${seen[$first-overlay]}"
  rm -rf image unpacked
done
for one in whiteout-umoci whiteout-vfs whiteout-overlay file-umoci; do [[ ${seen[$one]} == new ]]; done
[[ ${seen[file-vfs]} == none && ${seen[file-overlay]} == refused ]]
