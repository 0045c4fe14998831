#!/usr/bin/env bash
# patch.sh SOURCE PATCHES: changes the kernel in SOURCE by PATCHES/*.patch. Prints a line for each: "applied NAME" or "not-needed NAME".
# Any other end of a patch is an error. The lines before its first "---" say when it is needed:
#   Needed-where: FILE TEXT       FILE of a source that needs it has this text. Without the text it is left out.
#   Hardening: REASON             A guest is more dangerous without it, so it is never left out for a text that is gone: that text
#                                 may have moved, and what made the patch needful with it.
#   Not-needed-where: FILE TEXT   Of such a patch: FILE of a source that has the same hardening has this text.
# docs/usermode.md describes it.
set -euo pipefail
[ $# = 2 ] || { echo "usage: patch.sh SOURCE PATCHES" >&2; exit 2; }
source=$1
patches=$2

fail() { echo "usermode: $1" >&2; echo "hint: $2" >&2; exit 1; }

# says PATCH WORD: whether the patch has that line; $file and $text are what it names.
says() {
  local line
  line=$(sed '/^---/,$d' "$1" | grep "^$2: ") || return 1
  read -r _ file text <<<"$line"
}
found() { grep -qF -- "$text" "$source/$file" 2>/dev/null; }

for patch in "$patches"/*.patch; do
  name=$(basename "$patch" .patch)
  says "$patch" Needed-where && [ -n "$text" ] || fail "the patch $name does not say where it is needed" "give it a line 'Needed-where: FILE TEXT'"
  if found; then
    patch -d "$source" -p1 -s -N --no-backup-if-mismatch <"$patch" >&2 || fail "the patch $name does not fit this kernel" "adapt $patch"
    echo "applied $name"
  elif ! says "$patch" Hardening || { says "$patch" Not-needed-where && [ -n "$text" ] && found; }; then
    echo "not-needed $name"
  else
    fail "the patch $name hardens the kernel, and this kernel does not show that it has no need of it" \
      "adapt $patch, or give it a line 'Not-needed-where: FILE TEXT' with a text of kernels that have the same hardening"
  fi
done
