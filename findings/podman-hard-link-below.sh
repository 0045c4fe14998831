#!/usr/bin/env bash
# Expected: a layer may name a file of a layer below as the target of a hard link: the tools that unpack layers one over the other take it,
#           and podman takes an image or refuses it, wherever it keeps its images.
# Seen: with the driver vfs podman links the file. With overlay it refuses the image: it unpacks each layer alone, where the target is not.
#       umoci unpacks it. So an unpacker of single layers must look for such links before it trusts a layer to stand alone.
# Versions: podman 4.3.1, umoci 0.4.7.
# Source: the image specification, layer.md, "Hardlinks": it says how a changeset records links, not that their target must be in the same layer.
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
mkdir -p image/blobs/sha256 tree
echo hello > tree/first
blob() { local hex; hex=$(sha256sum "$1" | cut -d' ' -f1); cp "$1" "image/blobs/sha256/$hex"; printf '"digest":"sha256:%s","size":%s' "$hex" "$(stat -c %s "$1")"; }
tar -C tree -cf lower.tar first
ln tree/first tree/second
tar -C tree -cf both.tar first second
# The second member of that archive alone: a link to a file of the layer below.
tar -f both.tar --delete first
mv both.tar upper.tar
printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]}}' \
  "$(sha256sum lower.tar | cut -d' ' -f1)" "$(sha256sum upper.tar | cut -d' ' -f1)" > config
layer=application/vnd.oci.image.layer.v1.tar
printf '{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},"layers":[{"mediaType":"%s",%s},{"mediaType":"%s",%s}]}' \
  "$(blob config)" $layer "$(blob lower.tar)" $layer "$(blob upper.tar)" > manifest
printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",%s,"annotations":{"org.opencontainers.image.ref.name":"a"}}]}' \
  "$(blob manifest)" > image/index.json
echo '{"imageLayoutVersion":"1.0.0"}' > image/oci-layout
echo '{"default":[{"type":"insecureAcceptAnything"}]}' > policy
podman --version
umoci --version
umoci raw unpack --image image:a unpacked
printf 'umoci: second has the links: %s\n' "$(stat -c %h unpacked/second)"
for driver in vfs overlay; do
  status=0
  podman --root "$work/$driver" --runroot "$work/run-$driver" --storage-driver $driver pull -q --signature-policy policy oci:image > out-$driver 2> err-$driver || status=$?
  printf '%s: exit status %s: %s\n' $driver $status "$(grep -o 'processing tar file.*' err-$driver | tail -n 1)"
  eval "$driver=$status"
done
umount "$work/overlay/overlay" 2>/dev/null || true
[[ $vfs == 0 && $overlay != 0 ]] && grep -q 'no such file or directory' err-overlay && [[ $(stat -c %h unpacked/second) == 2 ]]
