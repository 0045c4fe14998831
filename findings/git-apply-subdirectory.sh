#!/usr/bin/env bash
# Expected: "git apply" changes the files of the current directory, like "patch -p1", or fails.
# Seen: in a directory of a repository, even in one that the repository ignores, a patch with "diff --git" lines is read as relative
#       to the repository's root. Paths outside the directory are skipped: nothing changes, nothing is printed, and the exit status
#       is 0. Without the "diff --git" line the same patch applies. "git apply -v" says "Skipped patch".
# Versions: git 2.39.5.
# Source: git-apply(1): "If --index is not in effect and run from a subdirectory, patches outside the directory are ignored by
#         default". apply.c, use_patch().
# For pyro: docs/git.md says where to run "git diff --binary | git apply".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(git=1:2.39.5-0+deb12u3)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
export GIT_EXEC_PATH=$work/root/usr/lib/git-core GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
git=$work/root/usr/bin/git
"$git" init -q repository
cd repository
echo /build > .gitignore
mkdir build
printf -- '--- a/file\n+++ b/file\n@@ -1 +1 @@\n-one\n+two\n' > plain.diff
{ echo 'diff --git a/file b/file'; cat plain.diff; } > git.diff
cd build
seen=
for patch in git plain; do
  echo one > file
  answer=$("$git" apply "../$patch.diff" 2>&1)
  seen+="$?$answer$(cat file) "
done
printf '%s\nwith "diff --git": %s\nwithout: %s\n' "$("$git" --version)" $seen
[[ $seen == "0one 0two " ]]
