// Running skopeo: its environment, its options, its words.

#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "image/oci/fetch.h"
#include "image/oci/source.h"
#include "image/progress.h"
#include "image/tools.h"
#include "pyro/result.h"

namespace pyro::image {

// Why skopeo failed. `transient`: a connection was cut, or the registry is busy, so that the next
// try may succeed.
struct SkopeoFailure {
  Error error;
  bool transient = false;
};

// From the end of skopeo's output. Pure. kPermissionDenied: a login is missing, or a policy of this
// host forbids the image. kNotFound: no such image. kInvalidArgument: the registry speaks plain
// HTTP, or its certificate is not trusted. kUnavailable: it cannot be reached. kDataLoss: it sent
// other bytes than it announced. kNoSpace. kInternal: none of these, with skopeo's last words.
SkopeoFailure ExplainSkopeo(std::string_view output, const ImageSource& source);

// kNotFound, kPermissionDenied, kInvalidArgument: the file is not there, not readable, not JSON.
// skopeo itself would go on without a login.
Status CheckAuthfile(const std::filesystem::path& authfile);

class Skopeo {
 public:
  // All borrowed. Programs write their temporary files to `scratch`; a Copy needs it.
  Skopeo(const ToolPaths& tools, const ImageSource& source, const FetchOptions& options,
         const FetchLimits& limits, std::filesystem::path scratch);

  // The manifest or index behind REGISTRY/NAME and `reference`, which is ":TAG" or "@DIGEST". Its
  // bytes are those of the digest, if one is given. Tried again as `limits` says. kMissingTool.
  // kCancelled. Otherwise the errors of ExplainSkopeo.
  Result<std::string> ReadManifest(std::string_view reference, Cancellation cancel) const;

  // A number that differs from the last one as long as the copy goes on: the bytes that have
  // arrived. Called about five times a second.
  using ArrivedFn = std::function<std::uint64_t()>;

  // Copies `from`, such as oci:DIR:NAME, to the OCI layout `to_layout` under the name kLayoutName,
  // with blobs in `shared_dir`, each gzip. Relative paths count from the scratch directory: a colon
  // above it would end them for skopeo. If `watch`, the copy is begun again when nothing has
  // arrived for `limits.stall`. Errors as above.
  enum class Watch { kNo, kYes };
  Status Copy(const std::string& from, const std::filesystem::path& to_layout,
              const std::filesystem::path& shared_dir, Watch watch, const ArrivedFn& arrived,
              const ProgressFn& progress, Cancellation cancel) const;

 private:
  Result<ToolRun> RunCopy(const std::vector<std::string>& argv, Watch watch,
                          const ArrivedFn& arrived, Cancellation cancel, bool& stalled) const;
  std::vector<std::string> Environment() const;
  SkopeoFailure Stalled(std::chrono::milliseconds limit) const;
  Status Pause(int retry, Cancellation cancel) const;

  const ToolPaths& tools_;
  const ImageSource& source_;
  const FetchOptions& options_;
  const FetchLimits& limits_;
  const std::filesystem::path scratch_;
};

inline constexpr std::string_view kLayoutName = "image";

}  // namespace pyro::image
