// Who else may write where this user keeps what is trusted.

#pragma once

#include <sys/stat.h>

#include <filesystem>

#include "pyro/result.h"

namespace pyro::state {

// For what another user must not decide about or replace. kPermissionDenied: the directory, or the
// link in its place, belongs to another user who is not root, or others may write to it. A missing
// directory is no error. The directories above it are not looked at.
Status CheckOwnDirectory(const std::filesystem::path& path);

// Whether users other than the owner and root may write `path`, of which `info` is what stat(2)
// says. A group that may write counts as others, unless it is the private one of this user: the
// primary group, with the user's name and no other member. Root's group is never private, nor is
// one that cannot be looked up. An access control list for further users or groups is of others.
bool OthersMayWrite(const std::filesystem::path& path, const struct stat& info);

}  // namespace pyro::state
