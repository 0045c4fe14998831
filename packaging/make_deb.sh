#!/usr/bin/env bash
# make_deb.sh BUILD OUTPUT: packs what BUILD has built into OUTPUT/pyro-mcp_VERSION_ARCH.deb, and what a C++ program needs to use
# it into OUTPUT/libpyro-dev_VERSION_ARCH.deb.
set -euo pipefail
umask 022
build=$(realpath "$1")
output=$(realpath "$2")
root=$(realpath "$(dirname "$0")/..")
version=$("$build/bin/pyro" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
tree=$stage/tree
development=$stage/development
share=$tree/usr/share
mkdir -p "$tree/DEBIAN" "$development/DEBIAN" "$share/doc/pyro-mcp" "$development/usr/share/doc"

for component in Unspecified python library usermode; do
  DESTDIR=$tree cmake --install "$build" --prefix /usr --strip --component "$component" >/dev/null
done
DESTDIR=$development cmake --install "$build" --prefix /usr --component development >/dev/null
ln -s pyro-mcp "$development/usr/share/doc/libpyro-dev"
# What pip and importlib.metadata know an installed package by.
metadata=$tree/usr/lib/python3/dist-packages/pyro_mcp-$version.dist-info
mkdir -p "$metadata"
printf 'Metadata-Version: 2.1\nName: pyro-mcp\nVersion: %s\n' "$version" >"$metadata/METADATA"
echo dpkg >"$metadata/INSTALLER"

/usr/bin/python3 "$root/packaging/make_man.py" "$build/bin/pyro" "$share/man/man1"
gzip -9n "$share"/man/man1/*.1
install -Dm644 "$root/packaging/completions/pyro.bash" "$share/bash-completion/completions/pyro"
install -Dm644 "$root/packaging/completions/_pyro" "$share/zsh/vendor-completions/_pyro"
install -Dm644 "$root/packaging/completions/pyro.fish" "$share/fish/vendor_completions.d/pyro.fish"
install -m644 "$root/README.md" "$root/SECURITY.md" "$root/CHANGELOG.md" "$root/CONTRIBUTING.md" "$share/doc/pyro-mcp"
cp -r --no-preserve=mode "$root/docs" "$root/examples" "$share/doc/pyro-mcp"
# What was done to the sources of the kernel, which its license wants to be told with it.
cp -r --no-preserve=mode "$root/usermode" "$share/doc/pyro-mcp"
find "$share/doc" -name __pycache__ -prune -exec rm -rf {} +
install -m644 "$root/packaging/debian/copyright" "$share/doc/pyro-mcp/copyright"
# Who packs it is who answers for the package.
maintainer="${DEBFULLNAME:-The pyro maintainers} <${DEBEMAIL:-maintainers@pyro.invalid}>"
date=$(date -R -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}")
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-unstable}")
printf 'pyro-mcp (%s) %s; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' "$version" "$release" "$maintainer" "$date" |
  gzip -9n >"$share/doc/pyro-mcp/changelog.gz"
install -Dm644 "$root/packaging/debian/lintian-overrides" "$share/lintian/overrides/pyro-mcp"

# The libraries that the programs are linked with, and the programs that pyro runs. Essential packages are there anyway.
mkdir -p "$stage/debian"
echo 'Source: pyro-mcp' >"$stage/debian/control"
objects=()
while IFS= read -r file; do
  if file -b "$file" | grep -q 'dynamically linked'; then objects+=("$file"); fi
done < <(find "$tree/usr" -type f \( -perm -u+x -o -name '*.so' -o -name '*.so.*' \))
depends=$(cd "$stage" && dpkg-shlibdeps --warnings=0 -O "${objects[@]}" | sed -n 's/^shlibs:Depends=//p')
# The module is for the Python of this release.
read -r python next < <(/usr/bin/python3 -c 'import sys; print("%d.%d %d.%d" % (*sys.version_info[:2], sys.version_info[0], sys.version_info[1] + 1))')
depends+=", python3 (>= $python), python3 (<< $next)"
for package in $("$root/tools/list_packages.sh" run); do
  [ "$(dpkg-query -W -f '${Essential}' "$package" 2>/dev/null)" = yes ] || depends+=", $package"
done
recommends=
for package in $("$root/tools/list_packages.sh" images); do recommends+="${recommends:+, }$package"; done
# The kernel's source package: "linux 6.12.1-1" in the file beside it.
read -r source_name source_version < <(sed -n 's/^ *"source_package": "\(.*\)",$/\1/p' "$tree/usr/lib/pyro-mcp/pyro-usermode-kernel.json")
built_using="$source_name (= $source_version)"
# The kernel and the agent are linked statically with the C library, the other programs with the rest (cmake/pyro.cmake). Their
# licenses want to be told with what is linked with them.
mkdir "$share/doc/pyro-mcp/licenses"
for package in $("$root/tools/list_packages.sh" held); do
  built_using+=", $(dpkg-query -W -f '${source:Package} (= ${source:Version})' "$package")"
  install -m644 "/usr/share/doc/$package/copyright" "$share/doc/pyro-mcp/licenses/$package"
done
# Programs that are linked with the library depend on this minor version, and the loader learns of it.
minor=${version%.*}
echo "libpyro $minor pyro-mcp (>= $version), pyro-mcp (<< ${minor%.*}.$((${minor#*.} + 1)))" >"$tree/DEBIAN/shlibs"
echo 'activate-noawait ldconfig' >"$tree/DEBIAN/triggers"

pack() {  # NAME TREE CONTROL
  sed -e "s/@BUILT_USING@/$built_using/" -e "s/@MAINTAINER@/$maintainer/" -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@DEPENDS@/$depends/" \
    -e "s/@RECOMMENDS@/$recommends/" -e "s/@INSTALLED_SIZE@/$(du -sk --exclude=DEBIAN "$2" | cut -f1)/" "$root/packaging/debian/$3" >"$2/DEBIAN/control"
  (cd "$2" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$2/DEBIAN/md5sums"
  chmod -R go=rX "$2"
  dpkg-deb --root-owner-group --build "$2" "$output/$1_${version}_$architecture.deb" >/dev/null
  echo "$output/$1_${version}_$architecture.deb"
}
pack pyro-mcp "$tree" control.in
pack libpyro-dev "$development" control-dev.in
