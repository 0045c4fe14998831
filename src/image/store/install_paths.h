// The layout of an environment on disk, in environments/debian-12/ for debian:12, and in
// environments/image-<16 digits>/ for an image:
//
//   lock           held while the folder is changed
//   current        symbolic link to the version that new guests use
//   name           of an image; the digits are of its digest
//   used           its time is that of the last use by a guest
//   <16 digits>/   one version, immutable: manifest.json, base.erofs, vmlinuz, modules/; of an
//                  image layer-1.erofs and so on, too, hard links to CACHE/oci/layers, or
//                  base.ext4 alone, which a guest has filled
//   <16 digits>.initramfs-<16 digits>.cpio   made from that version and an agent
//   .pull-*, .trash-*   work under way while the lock is held, leftovers otherwise

#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace pyro::image {

inline constexpr std::size_t kShortDigest = 16;
inline constexpr std::string_view kManifestName = "manifest.json";
inline constexpr std::string_view kCurrentName = "current";
inline constexpr std::string_view kLockName = "lock";
inline constexpr std::string_view kPullPrefix = ".pull-";
inline constexpr std::string_view kTrashPrefix = ".trash-";
inline constexpr std::string_view kImagePrefix = "image-";
inline constexpr std::string_view kNameFile = "name";
inline constexpr std::string_view kUsedName = "used";
inline constexpr std::string_view kInitramfsInfix = ".initramfs-";

// 16 lower-case hexadecimal digits: the name of a version's directory.
bool IsVersionName(std::string_view name);

// An unused name in `directory`: prefix and random digits.
std::filesystem::path FreshName(const std::filesystem::path& directory, std::string_view prefix);

}  // namespace pyro::image
