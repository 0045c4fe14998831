#include "image/oci/skopeo.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <initializer_list>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "image/oci/blob_store.h"
#include "image/store/digest.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/wait_for.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxAuthfile = 1 << 20;

// What the words of one failure say, and what they mean. The first match counts.
struct Meaning {
  std::initializer_list<std::string_view> words;
  ErrorCode code;
  std::string_view message;  // {} is the registry or the file, [] the image's name.
  std::string_view hint;     // Empty: "try again"; {} as above.
  bool transient = false;
  bool quote = false;  // The message ends with skopeo's words.
};

constexpr std::string_view kSpaceHint =
    "free some space (`pyro env prune` removes what is not used), or let PYRO_CACHE_DIR name a "
    "larger disk";

const std::array<Meaning, 16>& Meanings() {
  static const std::array<Meaning, 16> kMeanings = {{
      {{"no space left on device", "disk quota exceeded"},
       ErrorCode::kNoSpace,
       "the disk filled up while the image was copied",
       kSpaceHint},
      {{"Digest did not match", "does not match provided manifest digest", "digest mismatch",
        "Corrupted blob", "does not match expected"},
       ErrorCode::kDataLoss,
       "'{}' sent other bytes than it announced",
       "pull again; if it fails again, the image there is damaged or was tampered with",
       false,
       true},
      {{"server gave HTTP response to HTTPS client"},
       ErrorCode::kInvalidArgument,
       "'{}' speaks plain HTTP, which anything on the way can change",
       "if the way to it is safe, pull the image first: pyro env pull --plain-http IMAGE"},
      {{"x509:", "tls: failed to verify", "certificate is not trusted"},
       ErrorCode::kInvalidArgument,
       "the certificate of '{}' is not trusted",
       "put its authority's certificate into ~/.config/containers/certs.d/{}/ca.crt",
       false,
       true},
      {{"toomanyrequests", "Too Many Requests", "StatusCode: 429"},
       ErrorCode::kUnavailable,
       "'{}' has had too many requests",
       "wait some minutes, or log in: skopeo login {}"},
      {{"unauthorized", "authentication required", "invalid username/password",
        "unable to retrieve auth token", " 401 ", "StatusCode: 401"},
       ErrorCode::kPermissionDenied,
       "'{}' wants another login than it was given, or one at all",
       "log in with `skopeo login {}`, or give --authfile FILE"},
      {{": denied", "access to the resource is denied", "StatusCode: 403", " 403 "},
       ErrorCode::kPermissionDenied,
       "'{}' refuses this image to this login, or has no such image",
       "check the name, then log in with `skopeo login {}`, or give --authfile FILE"},
      {{"Source image rejected", "policy.json"},
       ErrorCode::kPermissionDenied,
       "the rules of this host for images do not accept it",
       "see containers-policy.json(5)",
       false,
       true},
      {{"manifest unknown", "name unknown", "NAME_UNKNOWN", "repository name not known",
        "StatusCode: 404"},
       ErrorCode::kNotFound,
       "there is no image '[]', or no such tag or digest of it",
       "check its name; skopeo list-tags shows the tags"},
      {{"no such host", "server misbehaving", "Temporary failure in name resolution"},
       ErrorCode::kUnavailable,
       "the host name of '{}' is not known here",
       "check the name and this host's network"},
      {{"connection refused", "no route to host", "network is unreachable"},
       ErrorCode::kUnavailable,
       "'{}' cannot be reached",
       "check that the registry runs and that this host may connect to it",
       false,
       true},
      {{"unexpected EOF", "connection reset by peer", "broken pipe", "i/o timeout",
        "TLS handshake timeout", "Client.Timeout", "http2: ", "use of closed network connection",
        ": EOF", "context deadline exceeded"},
       ErrorCode::kUnavailable,
       "the connection to '{}' was cut",
       "",
       true,
       true},
      {{" 500 ", " 502 ", " 503 ", " 504 ", "StatusCode: 50"},
       ErrorCode::kUnavailable,
       "'{}' is out of order",
       "",
       true,
       true},
      {{"registry 404 (Not Found)", "blob unknown"},
       ErrorCode::kDataLoss,
       "'{}' lacks a layer of the image",
       "push the image again"},
      {{"permission denied"}, ErrorCode::kPermissionDenied, "'{}' cannot be read", "", false, true},
      {{"unknown image compression", "unsupported MIME type", "unsupported manifest"},
       ErrorCode::kInvalidArgument,
       "the image is of a kind that skopeo does not know",
       "make it with another tool, or with layers of gzip or zstd",
       false,
       true},
  }};
  return kMeanings;
}

// Of `time="…" level=fatal msg="…"`, the text in the last quotes; else the last line.
std::string LastWords(std::string_view output) {
  std::string_view line;
  for (const std::string_view one : Split(output, '\n')) {
    const std::string_view trimmed = TrimSpace(one);
    const bool fatal = trimmed.find("level=fatal") != std::string_view::npos;
    if (fatal || (!trimmed.empty() && line.find("level=fatal") == std::string_view::npos)) {
      line = trimmed;
    }
  }
  const auto begin = line.find(" msg=\"");
  if (begin == std::string_view::npos) return std::string(line);
  line.remove_prefix(begin + 6);
  std::string words;
  for (std::size_t i = 0; i < line.size() && line[i] != '"'; ++i) {
    const bool escaped = line[i] == '\\' && i + 1 < line.size();
    if (escaped) ++i;
    words += escaped && (line[i] == 'n' || line[i] == 't') ? ' ' : line[i];
  }
  return words;
}

// The end of a chain of reasons, each before a colon and a space, without the image that the caller
// has named.
std::string ShortWords(std::string_view words) {
  constexpr std::size_t kMost = 240;
  constexpr std::string_view kPrefix = "Error parsing image name \"";
  if (words.starts_with(kPrefix)) {
    const auto end = words.find("\": ");
    if (end != std::string_view::npos) words.remove_prefix(end + 3);
  }
  while (words.size() > kMost) {
    const auto colon = words.find(": ");
    if (colon == std::string_view::npos) break;
    words.remove_prefix(colon + 2);
  }
  return Printable(words, kMost);
}

// `mark` becomes `what`.
std::string Filled(std::string_view text, std::string_view mark, const std::string& what) {
  std::string filled(text);
  for (auto at = filled.find(mark); at != std::string::npos; at = filled.find(mark, at)) {
    filled.replace(at, mark.size(), what);
    at += what.size();
  }
  return filled;
}

std::string RegistryOrFile(const ImageSource& source) {
  return source.transport == Transport::kRegistry
             ? source.location.substr(0, source.location.find('/'))
             : Printable(source.location);
}

}  // namespace

SkopeoFailure ExplainSkopeo(std::string_view output, const ImageSource& source) {
  const std::string words = LastWords(output);
  const std::string what = RegistryOrFile(source);
  for (const Meaning& meaning : Meanings()) {
    const bool says =
        std::any_of(meaning.words.begin(), meaning.words.end(),
                    [&](std::string_view one) { return words.find(one) != std::string::npos; });
    if (!says) continue;
    const std::string name = NameOf(source);
    std::string message =
        Filled(Filled(meaning.message, "{}", what), "[]", name.empty() ? what : name);
    if (meaning.quote) message += fmt::format(": {}", ShortWords(words));
    return {MakeError(meaning.code, std::move(message),
                      meaning.hint.empty() ? "try again" : Filled(meaning.hint, "{}", what)),
            meaning.transient};
  }
  return {MakeError(ErrorCode::kInternal,
                    fmt::format("'skopeo' failed: {}",
                                words.empty() ? "it printed nothing" : ShortWords(words))),
          false};
}

Status CheckAuthfile(const fs::path& authfile) {
  if (authfile.empty()) return OkStatus();
  // skopeo reads it again, several times: a pipe would serve one of them.
  auto text = ReadRegularFile(authfile, kMaxAuthfile);
  if (!text) {
    Error error = std::move(text).error();
    error.hint = "let --authfile name a file that `skopeo login --authfile FILE` wrote";
    return error;
  }
  // Never the parser's own words, which quote the text.
  const auto json = ParseJson(*text, kMaxAuthfile);
  if (json && json->is_object()) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("'{}' is no file of logins", Printable(authfile.native())),
                   "make one: skopeo login --authfile FILE REGISTRY");
}

Skopeo::Skopeo(const ToolPaths& tools, const ImageSource& source, const FetchOptions& options,
               const FetchLimits& limits, fs::path scratch)
    : tools_(tools),
      source_(source),
      options_(options),
      limits_(limits),
      scratch_(std::move(scratch)) {}

// skopeo looks for logins and certificates where the user has them, and helpers of logins in $PATH.
std::vector<std::string> Skopeo::Environment() const {
  std::vector<std::string> env = ToolEnvironment(tools_);
  std::erase_if(env, [](const std::string& one) { return one.starts_with("HOME="); });
  const auto home = sys::HomeDirectory();
  env.push_back(fmt::format("HOME={}", home ? home->native() : "/"));
  for (const char* name : {"XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG",
                           "REGISTRY_AUTH_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR"}) {
    const std::string value = sys::Environment(name);
    if (!value.empty()) env.push_back(fmt::format("{}={}", name, value));
  }
  if (const std::string path = sys::Environment("PATH"); !path.empty() && tools_.search.empty()) {
    for (std::string& one : env) {
      if (one.starts_with("PATH=")) one += ":" + path;
    }
  }
  if (scratch_.empty()) return env;
  // Its notes on blobs, too: they serve pushes, and a killed copy may leave them broken.
  env.push_back("XDG_DATA_HOME=" + scratch_.native());
  env.push_back("TMPDIR=" + scratch_.native());
  return env;
}

SkopeoFailure Skopeo::Stalled(std::chrono::milliseconds limit) const {
  return {MakeError(ErrorCode::kUnavailable,
                    fmt::format("'{}' has sent nothing for {} s", RegistryOrFile(source_),
                                std::max<std::int64_t>(1, limit.count() / 1000)),
                    "try again"),
          true};
}

Status Skopeo::Pause(int retry, Cancellation cancel) const {
  const auto pause = limits_.pause * (std::int64_t{1} << std::min(retry, 10));
  if (sys::WaitFor(cancel.fd, POLLIN, Deadline::After(pause)) == sys::Waited::kReady) {
    return MakeError(ErrorCode::kCancelled, "the pull was stopped", "pull it again");
  }
  return OkStatus();
}

Result<std::string> Skopeo::ReadManifest(std::string_view reference, Cancellation cancel) const {
  PYRO_RETURN_IF_ERROR(CheckAuthfile(options_.authfile));
  PYRO_ASSIGN_OR_RETURN(const fs::path program, tools_.Find("skopeo"));
  std::vector<std::string> argv = {program, "inspect", "--raw"};
  if (options_.plain_http) argv.emplace_back("--tls-verify=false");
  if (!options_.authfile.empty()) argv.push_back("--authfile=" + options_.authfile.native());
  argv.push_back(fmt::format("docker://{}{}", source_.location, reference));
  // skopeo waits half a minute itself if the registry has had too many requests.
  const auto limit = 2 * limits_.stall;
  for (int retry = 0;; ++retry) {
    sys::SpawnOptions options;
    options.argv = argv;
    options.env = Environment();
    auto output = sys::RunCommand(std::move(options), Deadline::After(limit),
                                  kMaxImageJsonBytes + 1, cancel.fd);
    SkopeoFailure failure;
    if (!output) {
      if (output.error().code != ErrorCode::kTimedOut) return std::move(output).error();
      failure = Stalled(limit);
      failure.transient = retry == 0;  // A person waits for a first sign of life.
    } else if (!output->status.success()) {
      failure = ExplainSkopeo(output->stderr_text, source_);
    } else {
      // skopeo compares the two only when it copies.
      if (reference.starts_with('@') &&
          reference.substr(1) != fmt::format("sha256:{}", Sha256Hex(output->stdout_text))) {
        return MakeError(ErrorCode::kDataLoss,
                         fmt::format("'{}' sent another manifest than that of the digest",
                                     RegistryOrFile(source_)),
                         "pull again; if it fails again, do not trust that registry");
      }
      return std::move(output->stdout_text);
    }
    if (!failure.transient || retry >= limits_.retries) return std::move(failure.error);
    PYRO_RETURN_IF_ERROR(Pause(retry, cancel));
  }
}

Result<ToolRun> Skopeo::RunCopy(const std::vector<std::string>& argv, Watch watch,
                                const ArrivedFn& arrived, Cancellation cancel,
                                bool& stalled) const {
  sys::SpawnOptions options;
  options.argv = argv;
  options.env = Environment();
  options.cwd = scratch_;
  std::uint64_t before = arrived();
  auto deadline = Deadline::After(limits_.stall);
  return RunTool(std::move(options), cancel, {}, [&] {
    if (const std::uint64_t now = arrived(); now != before) {
      before = now;
      deadline = Deadline::After(limits_.stall);
    }
    stalled = watch == Watch::kYes && deadline.Expired();
    return !stalled;
  });
}

Status Skopeo::Copy(const std::string& from, const fs::path& to_layout, const fs::path& shared_dir,
                    Watch watch, const ArrivedFn& arrived, const ProgressFn& progress,
                    Cancellation cancel) const {
  PYRO_RETURN_IF_ERROR(CheckAuthfile(options_.authfile));
  PYRO_ASSIGN_OR_RETURN(const fs::path program, tools_.Find("skopeo"));
  std::vector<std::string> argv = {program, "copy", "--dest-compress-format=gzip",
                                   "--dest-shared-blob-dir=" + shared_dir.native()};
  if (options_.plain_http) argv.emplace_back("--src-tls-verify=false");
  if (!options_.authfile.empty()) argv.push_back("--authfile=" + options_.authfile.native());
  argv.push_back(from);
  argv.push_back(fmt::format("oci:{}:{}", to_layout.native(), kLayoutName));
  for (int retry = 0;; ++retry) {
    bool stalled = false;
    auto run = RunCopy(argv, watch, arrived, cancel, stalled);
    if (run && run->status.success()) return OkStatus();
    if (!run && !stalled) return std::move(run).error();
    SkopeoFailure failure = stalled ? Stalled(limits_.stall) : ExplainSkopeo(run->tail, source_);
    // It has answered a moment ago, so that it may be about to start again.
    const bool again = watch == Watch::kYes &&
                       (failure.transient || failure.error.code == ErrorCode::kUnavailable);
    if (!again || retry >= limits_.retries) return std::move(failure.error);
    if (progress) {
      progress(
          {"download",
           fmt::format("{}; try {} of {}", failure.error.message, retry + 2, limits_.retries + 1),
           std::nullopt});
    }
    PYRO_RETURN_IF_ERROR(Pause(retry, cancel));
  }
}

}  // namespace pyro::image
