// A process that has been taken over: a test makes system calls in its place, behind its filter, in
// its namespaces and with its rights.

#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <cstdint>
#include <string_view>

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::escapes {

// Belongs to the thread that made it. Destroying it lets the process go.
class Takeover {
 public:
  // The main thread of `pid`, which waits in a system call. kPermissionDenied: this user may not
  // trace it. kTimedOut: it does not wait.
  static Result<Takeover> Of(pid_t pid);

  Takeover(Takeover&& other) noexcept;
  Takeover& operator=(Takeover&&) = delete;
  ~Takeover();

  // What the kernel answers: -errno for an error, -EIO once the process has ended.
  template <typename... Arguments>
  long Call(long number, Arguments... arguments) {
    const std::uint64_t values[6] = {static_cast<std::uint64_t>(arguments)...};
    return Inject(number, values);
  }

  // The address of a copy of these bytes in the process, which are at most 1 KiB from one Clear()
  // to the next. 0: it has ended.
  std::uint64_t Put(std::string_view bytes);
  std::uint64_t PutText(std::string_view text);  // With a zero at its end.
  void Clear() { used_ = 0; }

  bool ended() const { return ended_; }
  // 0: none ended it.
  static constexpr int kThreadAlone = -1;  // One ended its first thread and left the others.
  static constexpr int kHangs = -2;        // It did not come back from a call.
  int end_signal() const { return end_signal_; }
  int exit_code() const { return exit_code_; }

 private:
  explicit Takeover(pid_t pid) : pid_(pid) {}
  long Inject(long number, const std::uint64_t (&arguments)[6]);
  bool AwaitStop();
  bool OnlyItsThreadEnded() const;

  pid_t pid_;
  user_regs_struct saved_{};
  std::size_t used_ = 0;
  bool ended_ = false;
  int end_signal_ = 0;
  int exit_code_ = -1;
};

}  // namespace pyro::escapes
