#!/usr/bin/env bash
# Expected: readers of POSIX tar agree on a global extended header (type "g"). Its records hold for every later member.
# Seen: GNU tar and Python's tarfile apply it. libarchive skips it: the member has another name, time and owner.
# Versions: libarchive 3.6.2 (bsdtar), GNU tar 1.34.
# Source: POSIX.1-2017, pax, "pax Extended Header": a "g" header affects all files that follow. libarchive reads the body of such a
#         header (header_pax_global in archive_read_support_format_tar.c) and never parses it.
# For pyro: an archive that fills a workspace is read with libarchive. pyro applies or refuses such records by itself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
version=3.6.2-1+deb12u5
apt-get download -qq "libarchive-tools=$version" 2>/dev/null || { echo "libarchive-tools $version is not reachable" >&2; exit 2; }
dpkg -x libarchive-tools_*.deb root
bsdtar=root/usr/bin/bsdtar

/usr/bin/python3 - <<'PY'
import io
import tarfile

records = {"path": "from-the-global-header", "mtime": "1000000000"}
with tarfile.open("in.tar", "w", format=tarfile.PAX_FORMAT, pax_headers=records) as archive:
    member = tarfile.TarInfo("from-the-member")
    member.size = 3
    archive.addfile(member, io.BytesIO(b"abc"))
PY

show() { printf '%-28s %s\n' "$1" "$2"; }
export TZ=UTC
gnu=$(tar -tvf in.tar)
libarchive=$("$bsdtar" -tvf in.tar)
show "$(tar --version | sed -n 1p)" "$gnu"
show "$("$bsdtar" --version | cut -d' ' -f1-4)" "$libarchive"
[[ $gnu == *2001-09-09*from-the-global-header ]] && [[ $libarchive == *1970*from-the-member ]]
