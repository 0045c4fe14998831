// A seccomp filter as a table of system calls, for the programs that write filters at build time.

#pragma once

#include <seccomp.h>

#include <cstdint>
#include <initializer_list>

namespace pyro::jail {

// Not thread-safe. What fails shows in Write().
class FilterTable {
 public:
  // What is not named ends the whole process: a program that has been taken over gets no second
  // try. With SCMP_ACT_ALLOW it is allowed.
  explicit FilterTable(std::uint32_t otherwise = SCMP_ACT_KILL_PROCESS)
      : context_(seccomp_init(otherwise)) {
    ok_ = context_ != nullptr &&
          seccomp_attr_set(context_, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
          seccomp_attr_set(context_, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0;
  }
  ~FilterTable() { seccomp_release(context_); }
  FilterTable(const FilterTable&) = delete;
  FilterTable& operator=(const FilterTable&) = delete;

  void Allow(std::initializer_list<int> calls) {
    for (const int call : calls) Add(SCMP_ACT_ALLOW, call, {});
  }

  void Kill(std::initializer_list<int> calls) {
    for (const int call : calls) Add(SCMP_ACT_KILL_PROCESS, call, {});
  }

  // Calls whose refusal the program or its libraries take for an answer.
  void Refuse(int error, std::initializer_list<int> calls) {
    for (const int call : calls) Add(Refusal(error), call, {});
  }

  // Allows the call only if its argument number `argument` is one of these.
  void AllowWith(int call, unsigned argument, std::initializer_list<std::uint64_t> values) {
    for (const std::uint64_t value : values) {
      Add(SCMP_ACT_ALLOW, call, {{argument, SCMP_CMP_EQ, value, 0}});
    }
  }

  // Allows the call only if its argument number `argument` has none of these bits.
  void AllowWithout(int call, unsigned argument, std::uint64_t bits) {
    Add(SCMP_ACT_ALLOW, call, {{argument, SCMP_CMP_MASKED_EQ, bits, 0}});
  }

  void AllowIf(int call, std::initializer_list<scmp_arg_cmp> conditions) {
    Add(SCMP_ACT_ALLOW, call, conditions);
  }
  void RefuseIf(int error, int call, std::initializer_list<scmp_arg_cmp> conditions) {
    Add(Refusal(error), call, conditions);
  }

  // As the kernel takes it.
  bool Write(int fd) const { return ok_ && seccomp_export_bpf(context_, fd) == 0; }

 private:
  static std::uint32_t Refusal(int error) { return SCMP_ACT_ERRNO(static_cast<unsigned>(error)); }

  void Add(std::uint32_t action, int call, std::initializer_list<scmp_arg_cmp> conditions) {
    ok_ = ok_ &&
          seccomp_rule_add_array(context_, action, call, static_cast<unsigned>(conditions.size()),
                                 conditions.begin()) == 0;
  }

  scmp_filter_ctx context_;
  bool ok_;
};

}  // namespace pyro::jail
