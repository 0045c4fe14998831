// What the agent answers to a question of a client: one struct for each question. The supervisor
// passes answers on unread. ReadAnswer() checks them: the guest is hostile.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/fields.h"
#include "base/json.h"
#include "wire/messages.h"

namespace pyro::wire {

// `Answer` has its question's name, kQuestion, and Rows().
template <typename Answer>
Frame AnswerFrame(std::uint32_t channel, const Answer& answer) {
  return {.type = FrameType::kAnswer,
          .channel = channel,
          .payload = ToCbor(FieldsToJson(Answer::Rows(), &answer))};
}

// kProtocol: a field is missing, of another type or out of its limits.
template <typename Answer>
Result<Answer> ReadAnswer(const Frame& frame) {
  auto json = DecodeObject(frame);
  if (!json) return std::move(json).error();
  Answer answer;
  if (Status read = ReadFields(Answer::Rows(), *json, &answer); !read) {
    return std::move(read).error();
  }
  return answer;
}

inline constexpr std::size_t kMaxProcesses = 4096;
inline constexpr std::size_t kMaxProcessCommand = 1000;  // Bytes; what has so many was cut.

struct Process {
  std::int64_t pid = 0;
  std::int64_t parent = 0;
  std::int64_t uid = 0;
  std::string state;  // A letter, as in /proc/PID/stat.
  std::int64_t age_seconds = 0;
  std::int64_t cpu_ms = 0;
  std::int64_t rss_kib = 0;
  std::int64_t sequence = 0;  // As of wire::Exec.
  std::string name;
  std::string command;  // Each word ends with a NUL.
};

inline constexpr Field kProcess[] = {
    Row<Process, &Process::pid>("pid").From(1),
    Row<Process, &Process::parent>("parent"),
    Row<Process, &Process::uid>("uid").To(UINT32_MAX),
    Row<Process, &Process::state>("state").To(1),
    Row<Process, &Process::age_seconds>("age_seconds"),
    Row<Process, &Process::cpu_ms>("cpu_ms"),
    Row<Process, &Process::rss_kib>("rss_kib"),
    Row<Process, &Process::sequence>("sequence"),
    Row<Process, &Process::name>("name").To(64),
    Row<Process, &Process::command>("command").To(kMaxProcessCommand),
};

// The processes of the guest, except threads of its kernel.
struct Processes {
  static constexpr const char* kQuestion = "processes";
  std::vector<Process> processes;  // By their ids.
  bool truncated = false;          // There are more.

  static std::span<const Field> Rows() {
    static constexpr Field kRows[] = {
        Row<Processes, &Processes::processes>("processes").Of(kProcess).To(kMaxProcesses),
        Row<Processes, &Processes::truncated>("truncated"),
    };
    return kRows;
  }
};

// The data disk holds still for 10 s from now, unless it is thawed before: no process of the guest
// can write to it. Asked again, it holds on. `number`: of this freeze, from 1; two answers with the
// same one say that it held all the time between them.
struct DiskFrozen {
  static constexpr const char* kQuestion = "freeze";
  std::int64_t number = 0;

  static std::span<const Field> Rows() {
    static constexpr Field kRows[] = {Row<DiskFrozen, &DiskFrozen::number>("number").From(1)};
    return kRows;
  }
};

// The end of a freeze. `number`: of that; 0: the disk was not frozen any more.
struct DiskThawed {
  static constexpr const char* kQuestion = "thaw";
  std::int64_t number = 0;

  static std::span<const Field> Rows() {
    static constexpr Field kRows[] = {Row<DiskThawed, &DiskThawed::number>("number")};
    return kRows;
  }
};

inline constexpr std::size_t kMaxSignalled = 64;

// The processes of the command of Ask::sequence that Ask::signal was sent to; 0: none was, and
// these are those that run.
struct Signalled {
  static constexpr const char* kQuestion = "signal";
  std::vector<Process> processes;  // The first of them.
  std::int64_t count = 0;          // All of them.
  std::int64_t left = 0;           // Processes of the command a moment later.

  static std::span<const Field> Rows() {
    static constexpr Field kRows[] = {
        Row<Signalled, &Signalled::processes>("processes").Of(kProcess).To(kMaxSignalled),
        Row<Signalled, &Signalled::count>("count"),
        Row<Signalled, &Signalled::left>("left"),
    };
    return kRows;
  }
};

// Every one of them, for loops over all.
template <typename... Answer>
struct AnswerList {};
using Answers = AnswerList<Processes, DiskFrozen, DiskThawed, Signalled>;

}  // namespace pyro::wire
