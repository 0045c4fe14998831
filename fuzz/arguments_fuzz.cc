// Arguments of calls, as documents that a client sends: each is read or refused by the rows of its
// request. What is read without unknown fields is the same when these are ignored.

#include <cstdint>
#include <string_view>
#include <tuple>

#include "api/json.h"
#include "base/check.h"
#include "base/json.h"
#include "pyro/engine.h"

namespace {

using namespace pyro;

using Requests =
    std::tuple<RunRequest, VmOptions, ExecVmRequest, KeepSparesRequest, CheckPolicyRequest,
               ChangeTaskNetworkRequest, TaskOptions, UpdateTaskRequest, ListTasksRequest,
               DiffTaskRequest, TaskSnapshotRequest, ResetTaskRequest, ExecTaskRequest,
               StartTaskCommandRequest, WriteTaskStdinRequest, SignalTaskCommandRequest,
               WaitTaskRequest, ReadTaskOutputRequest, ExportTaskRequest, ReadTaskFileRequest,
               WriteTaskFileRequest, ListTaskFilesRequest, WatchTaskFilesRequest, PatchTaskRequest,
               CopyIntoTaskRequest, SyncTaskRequest, PullEnvironmentRequest, SetSettingRequest>;

template <typename Request>
void Try(const Json& document) {
  Request strict;
  const Status read = api::FromJson(document, strict);
  Request lenient;
  const Status ignored = api::FromJson(document, lenient, api::Unknown::kIgnored);
  for (const Status& status : {read, ignored}) {
    PYRO_CHECK(status.ok() || (status.error().code == ErrorCode::kInvalidArgument &&
                               !status.error().message.empty()));
  }
  if (read) PYRO_CHECK(ignored.ok() && ToJson(strict) == ToJson(lenient));
}

template <std::size_t kIndex = 0>
void TryOne(std::size_t index, const Json& document) {
  if constexpr (kIndex < std::tuple_size_v<Requests>) {
    if (index == kIndex) return Try<std::tuple_element_t<kIndex, Requests>>(document);
    TryOne<kIndex + 1>(index, document);
  }
}

}  // namespace

// The first byte chooses the request.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto document = ParseJson({reinterpret_cast<const char*>(data) + 1, size - 1});
  if (document) TryOne(data[0] % std::tuple_size_v<Requests>, *document);
  return 0;
}
