#!/usr/bin/env bash
# Expected: a member that comes twice in a tar has the content of the later one, as "tar -r" and tar's extraction mean it.
# Seen: sqfstar keeps the first. It says so on stderr and exits with 0. The root directory of the image has mode 0777.
# Versions: squashfs-tools 4.5.1, GNU tar 1.34.
# Source: squashfs-tools/tar.c: "already exists in the tar file, ignoring". The mode is the default of -root-mode for a tar without
#         an entry "./".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(squashfs-tools=1:4.5.1-1 liblzo2-2=2.10-2)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH=root/lib/x86_64-linux-gnu:root/usr/lib/x86_64-linux-gnu
echo old > version
tar -cf a.tar version
echo new > version
tar -rf a.tar version
root/usr/bin/sqfstar -quiet -no-progress image < a.tar 2> error
printf '%s: ' "$(tar --version | sed -n 1p)"
mkdir gnu && tar -C gnu -xf a.tar && cat gnu/version
printf '%s: ' "$(root/usr/bin/sqfstar -version | sed -n 1p)"
root/usr/bin/sqfscat image version | tee content
root/usr/bin/unsquashfs -lln image | sed -n 1p | tee mode
cat error
[[ $(cat gnu/version) == new && $(cat content) == old && $(cat mode) == drwxrwxrwx* ]]
