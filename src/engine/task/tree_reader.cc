#include "engine/task/tree_reader.h"

#include <utility>

#include <fmt/format.h>

#include "base/head_tail.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/session/guest_command.h"
#include "engine/task/file_call.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

// The agent itself, which is not part of the image.
constexpr const char* kAgent = "/proc/1/exe";
constexpr std::size_t kMaxContents = (32 << 20) + (1 << 20);

// Keeps stdout, up to a bound.
class TextSink : public OutputSink {
 public:
  explicit TextSink(std::size_t most) : most_(most) {}
  int WritableFd(OutputStream) override { return -1; }
  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override {
    if (stream == OutputStream::kStderr) {
      errors_.Append(bytes);
    } else if (text_.size() + bytes.size() > most_) {
      return MakeError(ErrorCode::kLimit, "the guest has more to tell than can be compared");
    } else {
      text_ += bytes;
    }
    return bytes.size();
  }
  std::string& text() { return text_; }
  std::string said() const { return errors_.Text(); }

 private:
  std::size_t most_;
  std::string text_;
  HeadTail errors_{1024, 1024};
};

// As the agent's program reads them.
std::string Lines(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += name + '\0';
  return text;
}

}  // namespace

Result<wire::Tree> TreeReader::List() {
  PYRO_ASSIGN_OR_RETURN(const std::string text, Run({"tree"}, "", wire::kMaxTreeBytes));
  return wire::ReadTree(text);
}

Result<std::vector<std::optional<std::string>>> TreeReader::Contents(
    const std::vector<std::string>& names) {
  if (names.empty()) return std::vector<std::optional<std::string>>();
  PYRO_ASSIGN_OR_RETURN(const std::string text, Run({"files"}, Lines(names), kMaxContents));
  return wire::ReadContents(text, names.size());
}

Result<std::vector<std::optional<std::uint64_t>>> TreeReader::Digests(
    const std::vector<std::string>& names) {
  if (names.empty()) return std::vector<std::optional<std::uint64_t>>();
  PYRO_ASSIGN_OR_RETURN(const std::string text,
                        Run({"digests"}, Lines(names), wire::kMaxTreeBytes));
  return wire::ReadDigests(text, names.size());
}

Result<std::vector<RefusedStep>> TreeReader::Apply(const std::string& stage,
                                                   const std::vector<TreeStep>& steps) {
  const std::string input = wire::WriteSteps(steps);
  if (input.size() > wire::kMaxTreeBytes) {
    return MakeError(ErrorCode::kLimit, "too much changes at once");
  }
  PYRO_ASSIGN_OR_RETURN(const std::string text,
                        Run({"apply", stage}, input, wire::kMaxTreeBytes, Sync::kYes));
  return wire::ReadRefusals(text, steps.size());
}

Result<std::string> TreeReader::Run(std::vector<std::string> words, std::string_view input,
                                    std::size_t most, Sync sync) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd file, sys::MakeMemoryFile(input));
  wire::Exec exec;
  exec.argv = std::move(words);
  exec.argv.insert(exec.argv.begin(), kAgent);
  exec.argv.insert(exec.argv.begin() + 2, directory_);
  exec.cwd = "/";
  exec.sync = sync == Sync::kYes;
  CallIo io;
  io.stdin_fd = file.get();
  io.cancel_fd = cancel_fd_;
  TextSink sink(most);
  TaskWork command(link_, exec, io);
  PYRO_RETURN_IF_ERROR(CommandSession(command, &sink, io).Run());
  PYRO_RETURN_IF_ERROR(CheckWrittenOut(command.end()));
  if (command.end().ExitCode() == 0) return std::move(sink.text());
  return MakeError(
      ErrorCode::kGuestUnavailable,
      fmt::format("'{}' could not be {} in the guest: {}", Printable(directory_),
                  sync == Sync::kYes ? "changed" : "read", Printable(sink.said(), 500)));
}

}  // namespace pyro::engine
