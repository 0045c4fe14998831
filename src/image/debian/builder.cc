#include "image/debian/builder.h"

#include <unistd.h>

#include <array>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "base/try.h"
#include "image/debian/host_apt.h"
#include "image/debian/kernel.h"
#include "image/root_namespace.h"
#include "image/seal.h"
#include "image/store/build_log.h"
#include "sys/files.h"
#include "sys/process_state.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

// Run by mmdebstrap with the new root as $1, before it cleans up. No path is written into it: those
// it needs come in the environment. The kernel is fetched here because only here apt is configured
// for the new root's sources.
constexpr const char* kCustomizeHook = R"sh(set -e
root=$1
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
image=$(apt-cache show --no-all-versions "linux-image-cloud-$(dpkg --print-architecture)" |
  sed -n 's/^Depends: \(linux-image-[^ ,(]*\).*/\1/p' | head -n 1)
test -n "$image"
(cd "$PYRO_KERNEL_DIR" && apt-get download "$image")
mkdir -p "$root/workspace" "$root/usr/lib/modules" \
  "$root/var/lib/containers" "$root/var/lib/containerd" "$root/var/lib/docker"
rm -f "$root/etc/hostname" "$root/etc/hosts" "$root/etc/resolv.conf" "$root/etc/machine-id" \
  "$root/var/lib/dbus/machine-id" "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root"/etc/ssh/ssh_host_*
echo pyro > "$root/etc/hostname"
printf '127.0.0.1\tlocalhost pyro\n::1\tlocalhost ip6-localhost ip6-loopback\n' > "$root/etc/hosts"
: > "$root/etc/resolv.conf"
: > "$root/etc/machine-id"
rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*
cp "$PYRO_IMAGE_SOURCES" "$root/etc/apt/sources.list.d/"
)sh";

// Left out of the image: manuals are of no use in a guest that lives for seconds.
constexpr std::array<const char*, 6> kDpkgOptions = {
    "path-exclude=/usr/share/man/*",           "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",        "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright", "path-exclude=/usr/share/lintian/*"};

// The guest mounts its own over these; their content is from the build on this host.
constexpr const char* kExcludeVolatile = "--exclude-regex=^(dev|proc|run|sys|tmp|var/tmp)/.+";

constexpr std::array<const char*, 10> kTools = {"mmdebstrap", "mkfs.erofs", "apt-get", "apt-config",
                                                "dpkg-deb",   "dpkg-query", "depmod",  "modprobe",
                                                "unshare",    "mv"};

void Report(const ProgressFn& progress, std::string phase, std::string detail = {}) {
  if (progress) progress({std::move(phase), std::move(detail), std::nullopt});
}

// One build: the steps share its directories.
class DebianBuild {
 public:
  DebianBuild(const ToolPaths& tools, const RootNamespace& root, const CatalogEntry& entry,
              fs::path work_dir, fs::path version_dir, const ProgressFn& progress,
              Cancellation cancel)
      : tools_(tools),
        root_(root),
        entry_(entry),
        work_(std::move(work_dir)),
        version_(std::move(version_dir)),
        progress_(progress),
        cancel_(cancel) {}

  Result<Manifest> Run(const AptSetup& apt);

 private:
  fs::path rootfs() const { return work_ / "rootfs"; }
  fs::path kernel_dir() const { return work_ / "kernel"; }

  Status Bootstrap(const AptSetup& apt);
  Status PlaceModuleTree(const fs::path& tree);
  Status RunStep(std::vector<std::string> argv, std::vector<std::string> more_env,
                 const LineFn& on_line);
  Result<fs::path> KernelPackage() const;
  Status ReadPackages(Manifest& manifest);

  const ToolPaths& tools_;
  const RootNamespace& root_;
  const CatalogEntry& entry_;
  const fs::path work_;
  const fs::path version_;
  const ProgressFn& progress_;
  const Cancellation cancel_;
};

Status DebianBuild::RunStep(std::vector<std::string> argv, std::vector<std::string> more_env,
                            const LineFn& on_line) {
  const std::string tool = argv.front();
  PYRO_ASSIGN_OR_RETURN(const ToolRun run,
                        root_.Run(std::move(argv), work_, more_env, cancel_, on_line));
  if (!run.status.success()) return ExplainFailure(tool, run.tail);
  return OkStatus();
}

Status DebianBuild::Bootstrap(const AptSetup& apt) {
  const fs::path sources = work_ / ("host" + apt.extension);
  const fs::path image_sources = work_ / ("debian" + apt.extension);
  const fs::path apt_options = work_ / "apt.conf";
  PYRO_RETURN_IF_ERROR(sys::WriteFileAtomically(sources, apt.sources));
  PYRO_RETURN_IF_ERROR(sys::WriteFileAtomically(image_sources, apt.image_sources, 0644));
  PYRO_RETURN_IF_ERROR(sys::WriteFileAtomically(apt_options, apt.apt_options));
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(kernel_dir()));
  // mmdebstrap's own unshare mode is not used: its helper user could not enter a directory of mode
  // 0700.
  std::vector<std::string> argv = {"mmdebstrap", "--verbose", "--variant=apt", "--mode=root",
                                   "--format=directory"};
  for (const char* option : kDpkgOptions) argv.push_back(fmt::format("--dpkgopt={}", option));
  if (!apt.apt_options.empty()) argv.push_back(fmt::format("--aptopt={}", apt_options.native()));
  if (!entry_.packages.empty())
    argv.push_back(fmt::format("--include={}", fmt::join(entry_.packages, ",")));
  argv.push_back(fmt::format("--customize-hook={}", kCustomizeHook));
  argv.insert(argv.end(), {std::string(entry_.release), rootfs(), sources});
  BuildLog log;
  return RunStep(
      std::move(argv),
      {"PYRO_KERNEL_DIR=" + kernel_dir().native(), "PYRO_IMAGE_SOURCES=" + image_sources.native()},
      [&](std::string_view line) {
        if (auto news = log.OnLine(line); news && progress_) progress_(*news);
      });
}

// No copy: both are in the work directory. As root of the namespace, because the image's
// directories may belong to a sub-id.
Status DebianBuild::PlaceModuleTree(const fs::path& tree) {
  return RunStep({"mv", "--", tree, rootfs() / "usr/lib/modules"}, {}, {});
}

Result<fs::path> DebianBuild::KernelPackage() const {
  std::error_code error;
  for (const auto& file : fs::directory_iterator(kernel_dir(), error)) {
    if (file.path().extension() == ".deb") return file.path();
  }
  return MakeError(ErrorCode::kUnavailable, "the package mirror has no cloud kernel",
                   "check that the host's apt sources are complete");
}

Status DebianBuild::ReadPackages(Manifest& manifest) {
  PYRO_ASSIGN_OR_RETURN(
      const std::string listed,
      Capture(tools_,
              {"dpkg-query", fmt::format("--admindir={}", (rootfs() / "var/lib/dpkg").native()),
               "--show", "--showformat", "${Package}\t${Version}\t${Architecture}\n"},
              cancel_));
  for (const auto line : Split(listed, '\n')) {
    const auto fields = Split(line, '\t');
    if (fields.size() != 3) continue;
    manifest.packages.push_back(
        {std::string(fields[0]), std::string(fields[1]), std::string(fields[2])});
  }
  return OkStatus();
}

Result<Manifest> DebianBuild::Run(const AptSetup& apt) {
  PYRO_RETURN_IF_ERROR(Bootstrap(apt));
  Report(progress_, "kernel", "unpack");
  PYRO_ASSIGN_OR_RETURN(const fs::path package, KernelPackage());
  PYRO_ASSIGN_OR_RETURN(KernelFiles kernel, ExtractKernel(tools_, package, work_ / "kernel-files",
                                                          version_, progress_, cancel_));
  if (Cancelled(cancel_)) return MakeError(ErrorCode::kCancelled, "the pull was stopped");
  PYRO_RETURN_IF_ERROR(PlaceModuleTree(kernel.tree));
  PYRO_RETURN_IF_ERROR(SealTree(root_, rootfs(), version_ / "base.erofs", {kExcludeVolatile}, work_,
                                progress_, cancel_));
  Manifest manifest;
  manifest.environment = entry_.name;
  manifest.catalog_version = kCatalogVersion;
  manifest.base.name = "base.erofs";
  manifest.kernel.name = "vmlinuz";
  for (auto& module : kernel.modules) manifest.modules.push_back({std::move(module), 0, {}});
  manifest.kernel_release = std::move(kernel.release);
  manifest.kernel_package = std::move(kernel.package);
  manifest.kernel_package_version = std::move(kernel.package_version);
  manifest.apt_sources = apt.described;
  PYRO_RETURN_IF_ERROR(ReadPackages(manifest));
  manifest.tools = ToolVersions(tools_, {"mmdebstrap", "mkfs.erofs"});
  return manifest;
}

}  // namespace

Result<Manifest> DebianBuilder::Build(const CatalogEntry& entry, const fs::path& work_dir,
                                      const fs::path& version_dir, const ProgressFn& progress,
                                      Cancellation cancel) {
  Report(progress, "check");
  for (const char* tool : kTools) PYRO_RETURN_IF_ERROR(tools_.Find(tool));
  PYRO_ASSIGN_OR_RETURN(const RootNamespace root, RootNamespace::Create(tools_, cancel));
  PYRO_ASSIGN_OR_RETURN(const AptSetup apt,
                        ReadHostApt(tools_, entry.release, sources_override_, cancel));
  DebianBuild build(tools_, root, entry, work_dir, version_dir, progress, cancel);
  auto manifest = build.Run(apt);
  if (manifest || apt.own_release.empty() || manifest.error().code != ErrorCode::kUnavailable) {
    return manifest;
  }
  Error error = std::move(manifest).error();
  error.hint += fmt::format(
      "; if the mirror of this host's Debian '{}' lacks '{}', let PYRO_APT_SOURCES name a "
      "sources.list with a line such as: deb MIRROR {} main",
      apt.own_release, entry.release, entry.release);
  return error;
}

Status DebianBuilder::Discard(const fs::path& work_dir) {
  return RemoveBuildTree(tools_, work_dir);
}

std::vector<std::string> DebianBuilder::MissingTools() const {
  std::vector<std::string> hints;
  const auto check = [&](const char* tool) {
    const auto found = tools_.Find(tool);
    if (!found) hints.push_back(fmt::format("{}: {}", found.error().message, found.error().hint));
  };
  for (const char* tool : kTools) check(tool);
  if (!sys::IsFullRoot()) check("newuidmap");
  if (const auto obstacle = RootNamespace::Obstacle()) {
    hints.push_back(fmt::format("{}: {}", obstacle->message, obstacle->hint));
  }
  return hints;
}

}  // namespace pyro::image
