#!/usr/bin/env bash
# build.sh BUILD [JOBS]: builds the guest kernel in user mode from Debian's package of kernel sources, and puts it beside pyro's programs:
#   BUILD/bin/pyro-usermode-kernel          the program
#   BUILD/bin/pyro-usermode-kernel.config   its configuration
#   BUILD/bin/pyro-usermode-kernel.json     its version, its source and what was changed
# The work lies in BUILD/usermode. The same sources, patches and compiler give the same bytes, in any directory and at any time. If
# nothing has changed since the last call, then there is nothing to do. docs/usermode.md describes the kernel.
set -euo pipefail
umask 022
[ $# -ge 1 ] || { echo "usage: build.sh BUILD [JOBS]" >&2; exit 2; }
here=$(realpath "$(dirname "$0")")
mkdir -p "$1/bin" "$1/usermode"
bin=$(realpath "$1/bin")
work=$(realpath "$1/usermode")
jobs=${2:-$(nproc)}
package=linux-source-6.12
program=pyro-usermode-kernel
# How many steps `make` says: only for the progress.
steps=1330

say() { echo "usermode: $*"; }
fail() { echo "usermode: $1" >&2; echo "hint: $2" >&2; exit 1; }

exec 9>"$work/lock"
flock 9

# Debian's archive is signed. apt checks the list of packages against the signature, and the package against the list.
if ! apt-cache show --no-all-versions "$package" >"$work/package" 2>/dev/null; then
  as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  $as_root apt-get update -q
  apt-cache show --no-all-versions "$package" >"$work/package" ||
    fail "apt knows no package $package" "add Debian's security archive for this release to apt's sources"
fi
version=$(sed -n 's/^Version: //p' "$work/package")
sha256=$(sed -n 's/^SHA256: //p' "$work/package")
deb=$work/${package}_${version//:/%3a}_all.deb

inputs=$(cat "$here"/*.sh "$here"/kernel.config "$here"/patches/*.patch <(echo "$sha256") <(gcc --version) | sha256sum | cut -d' ' -f1)
if [ "$(cat "$work/inputs" 2>/dev/null)" = "$inputs" ] && (cd "$bin" && sha256sum --status -c "$work/built" 2>/dev/null); then
  say "$bin/$program is up to date"
  exit 0
fi
rm -f "$work/inputs"

is_package() { [ -f "$deb" ] && echo "$sha256  $deb" | sha256sum --status -c; }
if ! is_package; then
  say "fetching $package $version, $(($(sed -n 's/^Size: //p' "$work/package") / 1048576)) MiB"
  rm -f "$work"/*.deb
  # An old list names a package that the archive has replaced since.
  (cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$package=$version") ||
    fail "apt cannot fetch $package $version" "run apt-get update, then try again"
  is_package || fail "what apt fetched is not $package $version: its SHA-256 differs" "run apt-get update, then try again"
fi

# Of other architectures and of drivers for hardware only the configuration's own files are taken.
say "unpacking"
source=$work/source
rm -rf "$source"
mkdir "$source"
tarball=./usr/src/$package.tar.xz
dpkg-deb --fsys-tarfile "$deb" | tar -xO "$tarball" |
  tar -xJ -C "$source" --strip-components=1 --wildcards --anchored \
    --exclude='*/Documentation/*.rst' --exclude='*/Documentation/*.yaml' --exclude='*/Documentation/*.txt' --exclude='*/samples/*.[chS]' \
    --exclude='*/tools/perf/*' --exclude='*/tools/testing/*' \
    --exclude='*/arch/[!ux]*/*.[chS]' --exclude='*.dts' --exclude='*.dtsi' --exclude='*/sound/*.[ch]' --exclude='*/drivers/accel/*.[ch]' \
    --exclude='*/drivers/gpu/*.[ch]' --exclude='*/drivers/iio/*.[ch]' --exclude='*/drivers/infiniband/*.[ch]' \
    --exclude='*/drivers/media/*.[ch]' --exclude='*/drivers/net/*/*.[ch]' --exclude='*/drivers/scsi/*.[ch]' \
    --exclude='*/drivers/staging/*.[ch]' --exclude='*/drivers/usb/*.[ch]'
# The date of the sources is the date of the program.
epoch=$(date -u -d "$(dpkg-deb --fsys-tarfile "$deb" | tar -tv --full-time --utc "$tarball" | awk '{ print $4, $5 }') UTC" +%s)

patched=$(bash "$here/patch.sh" "$source" "$here/patches")
mapfile -t applied < <(sed -n 's/^applied //p' <<<"$patched")
mapfile -t left_out < <(sed -n 's/^not-needed //p' <<<"$patched")
say "patches: ${applied[*]}${left_out:+; not needed: ${left_out[*]}}"

export KBUILD_BUILD_USER=pyro KBUILD_BUILD_HOST=pyro KBUILD_BUILD_VERSION=1 SOURCE_DATE_EPOCH=$epoch LC_ALL=C TZ=UTC
KBUILD_BUILD_TIMESTAMP=$(date -u -d "@$epoch")
export KBUILD_BUILD_TIMESTAMP
# The compiler says which headers a source has included, so that ccache need not run the preprocessor first.
export CCACHE_DEPEND=1 CCACHE_SLOPPINESS=include_file_mtime,include_file_ctime,time_macros
unset MAKEFLAGS MAKELEVEL MFLAGS CFLAGS LDFLAGS KCFLAGS ARCH
compiler=gcc
command -v ccache >/dev/null && compiler='ccache gcc'
build() { make -C "$source" --no-print-directory ARCH=um CC="$compiler" HOSTCC="$compiler" "$@"; }

build -s KCONFIG_ALLCONFIG="$here/kernel.config" allnoconfig
if different=$(grep -E '^(CONFIG_|# CONFIG_)' "$here/kernel.config" | grep -vxFf "$source/.config"); then
  fail "the kernel's own rules change the configuration: ${different//$'\n'/, }" "adapt usermode/kernel.config"
fi

say "compiling $package $version; with an empty compiler cache this takes about $((8 / jobs + 1)) minutes"
# On a terminal one line shows how far it is; elsewhere every hundredth step is a line. A loop of the shell, because Debian's awk reads
# kilobytes of a pipe before it looks at the first line.
progress() {
  local terminal=false line step count=0
  if [ -t 1 ]; then terminal=true; fi
  while IFS= read -r line; do
    if [[ $line != "  "[A-Z]* ]]; then echo "$line"; continue; fi
    count=$((count + 1))
    read -r step _ <<<"$line"
    if $terminal; then
      printf '\r\033[K[%d/%d] %s' "$count" "$((count > steps ? count : steps))" "$step"
    elif [ $((count % 100)) = 0 ]; then
      echo "[$count/$((count > steps ? count : steps))] $step"
    fi
  done
  if $terminal; then printf '\r\033[K'; fi
}
build -j "$jobs" linux 2>"$work/warnings" | progress ||
  { grep -E 'error|Error' "$work/warnings" >&2 || tail -n 20 "$work/warnings" >&2; fail "the kernel does not compile" "see $work/warnings"; }

strip -s -o "$work/$program" "$source/linux"
install -m644 "$source/.config" "$work/$program.config"
list() { local text; text=$(printf '"%s", ' "$@"); [ $# = 0 ] || echo "${text%, }"; }
cat >"$work/$program.json" <<JSON
{
  "kernel": "$(make -s -C "$source" ARCH=um kernelrelease)",
  "license": "GPL-2.0",
  "source_package": "linux ${version}",
  "binary_package": "$package",
  "binary_package_sha256": "$sha256",
  "patches": [$(list "${applied[@]}")],
  "patches_not_needed": [$(list "${left_out[@]}")],
  "compiler": "$(gcc --version | head -n 1)",
  "sha256": "$(sha256sum "$work/$program" | cut -d' ' -f1)"
}
JSON
# Each takes its place whole: a pyro that starts meanwhile finds the old one or the new one.
for file in "$program.config" "$program.json" "$program"; do
  mv "$work/$file" "$bin/.$file"
  mv "$bin/.$file" "$bin/$file"
done
(cd "$bin" && sha256sum "$program" "$program.config" "$program.json") >"$work/built"
rm -rf "$source"
echo "$inputs" >"$work/inputs"
say "$bin/$program: $(du -k "$bin/$program" | cut -f1) KiB"
