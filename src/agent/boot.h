// The first steps of PID 1, up to the agent's hello: kernel file systems, modules, the port to the
// host and the base. No step here uses the data disk or any other part of a guest's identity.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/device_watch.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::agent {

// The directories of the initramfs for the parts of the guest's root.
inline constexpr const char* kBaseDirectory = "/base";      // The environment, read-only.
inline constexpr const char* kDataDirectory = "/data";      // This guest's own disk.
inline constexpr const char* kNewRoot = "/newroot";         // The overlay of the two.
inline constexpr const char* kLayersDirectory = "/layers";  // The base's disks, if it has several.

// /dev, /proc, /sys, and the console as standard input, output and error.
Status MountKernelFileSystems();

// Every /modules/NN-name.ko in the order of their names. A module that cannot be loaded is named on
// the console; a later step fails if it needs it.
void LoadModules();

// The virtio-serial port that the host calls pyro.0, or in user mode /dev/hostport; non-blocking.
Result<sys::UniqueFd> OpenHostPort(DeviceWatch& devices);

enum class GuestDisk { kBase, kData };

// /dev/vda and /dev/vdb, or in user mode /dev/ubda and /dev/ubdb.
const char* DiskPath(GuestDisk disk);

// The base disk on kBaseDirectory: an erofs, or wire::kImageTree of an ext4. If layers lie on it,
// each disk is mounted on a directory of its own, and kBaseDirectory is an overlay of them.
Status MountBase(DeviceWatch& devices);

// The options by which an overlay has the base below it. Layers mark what they hide by attributes
// that a user namespace can write: "userxattr".
std::string LowerOptions();

// The devices that the base's modules bring, as nodes in /dev: the kernel loads a module when its
// node is first opened. Without modules for this kernel there are none. For after MountBase().
void MakeModuleNodes();

// Waits until the kernel knows that the data disk has so many bytes: it hears that from the device.
Status AwaitDataDisk(std::int64_t bytes, DeviceWatch& devices);

// Makes the directory, also where an image has something else, such as a link.
void MakePlace(const char* path);

// mount(2) on a directory, which is made if it is missing; an error names the directory.
Status Mount(const char* source, const char* target, const char* type, unsigned long flags,
             const char* options);

}  // namespace pyro::agent
