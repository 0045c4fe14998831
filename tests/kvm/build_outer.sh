#!/usr/bin/env bash
# build_outer.sh WORK: what the outer machine of kvm_check.py needs, in WORK: root.img, vmlinuz, initrd.img, key, and in qemu a QEMU of
# 8.1 or newer where this host has an older one. It comes from the archives that this host uses, and nothing of it is installed here.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
mkdir -p "$1"
work=$(realpath "$1")
[ "$(id -u)" = 0 ] || { echo "kvm-check: only root can build the outer machine's disk" >&2; exit 1; }
suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
version=$(qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')

# Translates safely for two processors: see docs/design/0001-boot-and-accelerator.md.
if [ "$(printf '%d%02d' $version)" -lt 801 ] && [ ! -e "$work/qemu/.complete" ]; then
  echo "kvm-check: fetching QEMU of $suite-backports"
  rm -rf "$work/qemu" "$work/apt"
  mkdir -p "$work/qemu" "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/apt/sources"
  # The first archive of this host, with another suite.
  archive=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" "Component: main" "Identifier: Packages" | head -1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $suite-backports main" >"$work/apt/sources/backports.list"
  options=(-o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$work/apt/sources" -o "Dir::State::lists=$work/apt/lists"
           -o "Dir::Cache=$work/apt" -o "APT::Sandbox::User=root")
  apt-get "${options[@]}" update -qq
  (cd "$work/apt" && apt-get "${options[@]}" download -qq qemu-system-x86 qemu-system-common qemu-system-data seabios)
  for package in "$work"/apt/*.deb; do dpkg -x "$package" "$work/qemu"; done
  rm -rf "$work/apt"
  touch "$work/qemu/.complete"
fi

packages=$("$here/../../tools/list_packages.sh" outer run libraries | tr '\n ' ',,')
made_of=$({ echo "$suite $packages"; cat "$here/build_outer.sh" "$here/outer-init"; } | sha256sum)
[ ! -e "$work/root.img" ] || [ "$(cat "$work/root.key" 2>/dev/null)" != "$made_of" ] || exit 0
echo "kvm-check: making a $suite root"
root=$work/root
rm -rf "$root"
[ -e "$work/key" ] || ssh-keygen -q -t ed25519 -N '' -f "$work/key"
"$here/../../packaging/host_archives.sh" "$work"
# shellcheck disable=SC2016 # expanded by mmdebstrap's hook
mmdebstrap --quiet --mode=root --variant=minbase --aptopt="$work/apt.conf" --aptopt='APT::Install-Recommends "false"' \
  --include="$packages" \
  --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"
    echo MODULES=list >"$1/etc/initramfs-tools/conf.d/small"
    printf "virtio_pci\nvirtio_blk\nvirtio_net\next4\n" >"$1/etc/initramfs-tools/modules"' \
  "$suite" "$root" "$work/sources"/*
cp "$root"/boot/vmlinuz-* "$work/vmlinuz"
cp "$root"/boot/initrd.img-* "$work/initrd.img"
chroot "$root" groupadd -f kvm
chroot "$root" useradd -m -s /bin/bash -G kvm alice
for home in "$root/root" "$root/home/alice"; do
  install -d -m700 "$home/.ssh"
  install -m600 "$work/key.pub" "$home/.ssh/authorized_keys"
done
chroot "$root" chown -R alice:alice /home/alice
install -m755 "$here/outer-init" "$root/sbin/outer-init"
echo outer >"$root/etc/hostname"
echo "127.0.0.1 localhost outer" >"$root/etc/hosts"
echo "nameserver 10.0.2.3" >"$root/etc/resolv.conf"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=0 -d "$root" "$work/root.img.new" 16G
mv "$work/root.img.new" "$work/root.img"
echo "$made_of" >"$work/root.key"
rm -rf "$root"
