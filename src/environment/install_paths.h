// The layout of an environment on disk:
//
//   environments/debian-12/lock            held while the folder is changed
//   environments/debian-12/current         symbolic link to the version in use
//   environments/debian-12/<16 digits>/    one version, immutable: manifest.json, base.erofs,
//   vmlinuz, modules/ environments/debian-12/<16 digits>.initramfs-<16 digits>.cpio   made from it
//   and an agent environments/debian-12/.pull-…         a pull under way if the lock is held, else
//   a leftover; likewise .trash-…

#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace pyro::environment {

inline constexpr std::size_t kShortDigest = 16;
inline constexpr std::string_view kManifestName = "manifest.json";
inline constexpr std::string_view kCurrentName = "current";
inline constexpr std::string_view kLockName = "lock";
inline constexpr std::string_view kPullPrefix = ".pull-";
inline constexpr std::string_view kTrashPrefix = ".trash-";
inline constexpr std::string_view kInitramfsInfix = ".initramfs-";

// 16 lower-case hexadecimal digits: the name of a version's directory.
bool IsVersionName(std::string_view name);

// A name in `directory` that nobody has: prefix and random digits.
std::filesystem::path FreshName(const std::filesystem::path& directory, std::string_view prefix);

}  // namespace pyro::environment
