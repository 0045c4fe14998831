#include "supervisor/routed_command.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"

namespace pyro::supervisor {
namespace {

using wire::Frame;
using wire::FrameType;
using wire::Stream;

constexpr std::size_t kMaxWatchers = 256;
constexpr std::size_t kMaxWrites = 16;          // That wait, each of up to 64 KiB.
constexpr std::chrono::seconds kKillGrace{10};  // For the agent to report a killed command.
// For the agent to begin a command, and for the next frame of an operation on files: those are the
// waits of pyro itself. What a user's command does after its begin has no limit but its own.
constexpr std::chrono::seconds kBeginLimit{120};
constexpr std::chrono::seconds kWorkLimit{600};
constexpr std::size_t kMaxErrorText = 1000;  // Bytes of a guest's words.
constexpr Stream kBothOutputs[] = {Stream::kStdout, Stream::kStderr};

}  // namespace

Error Breach(std::string_view what) {
  return MakeError(ErrorCode::kProtocol, fmt::format("protocol violated: {}", what));
}

Error ErrorOfGuest(const Frame& frame) {
  const Error told = wire::ErrorFromFrame(frame);
  if (told.message.empty()) {
    return MakeError(told.code, "the guest's agent has failed, and does not say why");
  }
  return MakeError(told.code, Printable(told.message, kMaxErrorText));
}

void RoutedCommand::Begin(const wire::Exec& exec) {
  works_on_files_ = exec.file && exec.file->operation != wire::FileOperation::kWatch;
  step_->Start(kBeginLimit, [this] { StepFailed("begun the command", kBeginLimit); });
  kept_ = exec.journal && exec.kept;
  masked_ = !exec.file && !place_.mask.empty();
  place_.ports.ToGuest(EncodeFrame(exec.ToFrame(channel_)));
  if (exec.timeout_ms == 0) return;
  limit_->Start(std::chrono::milliseconds(exec.timeout_ms),
                [this] { Kill(wire::KillReason::kTimedOut); });
}

Status RoutedCommand::FromClient(const Frame& frame) {
  moved_ = true;
  switch (frame.type) {
    case FrameType::kData:
      if (frame.stream != Stream::kStdin || stdin_ended_) return Breach("data on a wrong stream");
      if (frame.payload.size() > stdin_allowed_) return Breach("more stdin than was allowed");
      stdin_allowed_ -= frame.payload.size();
      place_.ports.ToGuest(wire::EncodeData(channel_, Stream::kStdin, frame.payload));
      return OkStatus();
    case FrameType::kEof:
      if (frame.stream != Stream::kStdin || stdin_ended_) return Breach("eof on a wrong stream");
      EndStdin();
      return OkStatus();
    case FrameType::kCredit: {
      if (frame.stream == Stream::kStdin) return Breach("credit on a wrong stream");
      PYRO_ASSIGN_OR_RETURN(const std::uint32_t bytes, DecodeCredit(frame));
      const Output& output = OutputOf(frame.stream);
      if (kept_) return Breach("credit for output that is in the journal");
      // Credit for bytes that were never received would let the guest fill our memory.
      if (output.granted + bytes > output.received) return Breach("credit for nothing");
      Grant(frame.stream, bytes);
      return OkStatus();
    }
    case FrameType::kKill: {
      PYRO_ASSIGN_OR_RETURN(const wire::Kill kill, wire::Kill::FromFrame(frame));
      Kill(kill.reason);
      return OkStatus();
    }
    default:
      return Breach(fmt::format("frame type {} from a client", static_cast<int>(frame.type)));
  }
}

Result<bool> RoutedCommand::FromGuest(Frame frame) {
  moved_ = true;
  switch (frame.type) {
    case FrameType::kStarted:
      if (std::exchange(started_, true)) return Breach("started twice");
      if (!given_up_) AwaitWork();
      ToClient(std::move(frame));
      return false;
    case FrameType::kData:
    case FrameType::kEof:
      PYRO_RETURN_IF_ERROR(OutputFromGuest(std::move(frame)));
      return false;
    case FrameType::kCredit: {
      if (frame.stream != Stream::kStdin) return Breach("credit on a wrong stream");
      PYRO_ASSIGN_OR_RETURN(const std::uint32_t bytes, DecodeCredit(frame));
      if (stdin_allowed_ + bytes > wire::kInitialCredit) return Breach("credit for nothing");
      stdin_allowed_ += bytes;
      ToClient(std::move(frame));
      ServeWrites();
      return false;
    }
    case FrameType::kExited: {
      PYRO_ASSIGN_OR_RETURN(wire::Exited exited, wire::Exited::FromFrame(frame));
      // A command that never began has no output that could end.
      const bool began = started_ || exited.outcome != Outcome::kNotStarted;
      if (began && !(out_.ended && err_.ended)) return Breach("exited before its output ended");
      exited.stdout_bytes = out_.received;
      exited.stderr_bytes = err_.received;
      RecordEnd(exited);
      ToClient(exited.ToFrame(0));
      return true;
    }
    case FrameType::kError:
      Fail(ErrorOfGuest(frame));
      return true;
    default:
      return Breach(fmt::format("frame type {} from the guest", static_cast<int>(frame.type)));
  }
}

Status RoutedCommand::OutputFromGuest(Frame frame) {
  if (frame.stream == Stream::kStdin) return Breach("stdin from the guest");
  Output& output = OutputOf(frame.stream);
  if (output.ended) return Breach("output after its end");
  // It would pass every limit, as often as the guest likes.
  if (frame.type == FrameType::kData && frame.payload.empty()) return Breach("output of no bytes");
  if (frame.type == FrameType::kEof) {
    output.ended = true;
    EndOutput(frame.stream);
    return OkStatus();
  }
  if (frame.payload.size() > output.allowed) return Breach("more output than was allowed");
  output.allowed -= frame.payload.size();
  output.received += frame.payload.size();
  const Stream stream = frame.stream;
  Show(stream, masked_ ? output.masked.Feed(frame.payload) : std::move(frame.payload));
  if (kept_ || orphan_) Dispose(stream, wire::kInitialCredit / 2);
  return OkStatus();
}

void RoutedCommand::Show(Stream stream, std::string bytes) {
  if (bytes.empty()) return;
  if (kept_) {
    place_.journal->Append(sequence_, wire::OutputOf(stream), bytes);
    place_.ports.JournalWritten();
    return;
  }
  // What was kept back may make a piece longer than a frame.
  for (std::size_t at = 0; at < bytes.size(); at += wire::kMaxDataBytes) {
    Frame frame;
    frame.type = FrameType::kData;
    frame.stream = stream;
    frame.payload = bytes.substr(at, wire::kMaxDataBytes);
    ToClient(std::move(frame));
  }
}

void RoutedCommand::EndOutput(Stream stream) {
  Show(stream, OutputOf(stream).masked.End());
  Frame eof;
  eof.type = FrameType::kEof;
  eof.stream = stream;
  ToClient(std::move(eof));
}

void RoutedCommand::Grant(Stream stream, std::uint64_t bytes) {
  Output& output = OutputOf(stream);
  output.granted += bytes;
  output.allowed += bytes;
  if (output.ended) return;
  place_.ports.ToGuest(wire::EncodeCredit(channel_, stream, static_cast<std::uint32_t>(bytes)));
}

// The received bytes are consumed: the guest may send as many again, once they are worth a frame.
void RoutedCommand::Dispose(Stream stream, std::uint64_t least) {
  const std::uint64_t due = OutputOf(stream).received - OutputOf(stream).granted;
  if (due >= least) Grant(stream, due);
}

// The output has no taker any more: what the client has not granted must not hold the guest up.
void RoutedCommand::DisposeOfAll() {
  for (const Stream stream : kBothOutputs) Dispose(stream, 1);
}

void RoutedCommand::EndStdin() {
  stdin_ended_ = true;
  place_.ports.ToGuest(wire::EncodeEof(channel_, Stream::kStdin));
  ServeWrites();
}

void RoutedCommand::Write(ClientChannel client, wire::Write write) {
  if (!open_stdin_) {
    return Refuse(client, MakeError(ErrorCode::kWrongState,
                                    fmt::format("stdin of command {} was not kept open", sequence_),
                                    "start the command with --keep-stdin"));
  }
  if (writes_.size() >= kMaxWrites) {
    return Refuse(client, MakeError(ErrorCode::kLimit,
                                    fmt::format("{} callers wait to write to command {}",
                                                kMaxWrites, sequence_),
                                    "try again: the command does not read its stdin now"));
  }
  writes_.push_back({client, std::move(write)});
  ServeWrites();
}

// The command's own client counts on its window, so the others wait until it has gone.
void RoutedCommand::ServeWrites() {
  while (!stdin_ended_ && orphan_ && !writes_.empty()) {
    const auto& [client, write] = writes_.front();
    if (write.bytes.size() > stdin_allowed_) return;
    if (!write.bytes.empty()) {
      stdin_allowed_ -= write.bytes.size();
      place_.ports.ToGuest(wire::EncodeData(channel_, Stream::kStdin, write.bytes));
    }
    if (write.close) {
      stdin_ended_ = true;
      place_.ports.ToGuest(wire::EncodeEof(channel_, Stream::kStdin));
    }
    place_.ports.ToClient(client.client,
                          EncodeFrame(wire::Plain(FrameType::kWritten, client.channel)));
    writes_.pop_front();
  }
  if (stdin_ended_) {
    RefuseWrites(fmt::format("stdin of command {} is closed", sequence_),
                 "no more can be written to it");
  }
}

void RoutedCommand::RefuseWrites(const std::string& why, const char* hint) {
  for (const Waiting& one : std::exchange(writes_, {})) {
    Refuse(one.client, MakeError(ErrorCode::kWrongState, why, hint));
  }
}

void RoutedCommand::Refuse(ClientChannel client, const Error& error) {
  place_.ports.ToClient(client.client, EncodeFrame(wire::ErrorFrame(client.channel, error)));
}

Status RoutedCommand::Await(ClientChannel client) {
  if (watchers_.size() >= kMaxWatchers) return Breach("too many wait for one command");
  watchers_.push_back(client);
  return OkStatus();
}

void RoutedCommand::ClientGone(ClientId client) {
  std::erase_if(watchers_, [client](const ClientChannel& one) { return one.client == client; });
  std::erase_if(writes_, [client](const Waiting& one) { return one.client.client == client; });
  if (client_.client != client || std::exchange(orphan_, true)) return;
  if (!kept_) {
    Kill(wire::KillReason::kCancelled);
    DisposeOfAll();
  } else if (open_stdin_) {
    ServeWrites();
  } else if (!stdin_ended_) {
    EndStdin();  // No client is left that could.
  }
}

void RoutedCommand::Kill(wire::KillReason reason) {
  if (killed_) return;
  killed_ = reason;
  place_.ports.ToGuest(EncodeFrame(wire::Kill{reason}.ToFrame(channel_)));
  AwaitExit();
}

void RoutedCommand::AwaitExit() {
  limit_->Start(kKillGrace, [this] {
    return out_.allowed > 0 && err_.allowed > 0 ? place_.give_up(*this) : AwaitExit();
  });
}

// A guest that waits for its client is not late.
void RoutedCommand::AwaitWork() {
  if (!works_on_files_) return step_->Stop();
  moved_ = false;
  step_->Start(kWorkLimit, [this] {
    const bool client_is_due =
        out_.allowed == 0 || err_.allowed == 0 || (!stdin_ended_ && stdin_allowed_ > 0);
    if (moved_ || client_is_due) return AwaitWork();
    StepFailed("gone on with the operation on files", kWorkLimit);
  });
}

void RoutedCommand::StepFailed(std::string_view step, std::chrono::seconds limit) {
  failure_ = MakeError(ErrorCode::kGuestUnavailable,
                       fmt::format("the guest has not {} for {} s", step, limit.count()),
                       "it may be paused or out of memory: try again, or stop it");
  if (!killed_) {
    killed_ = wire::KillReason::kCancelled;
    place_.ports.ToGuest(EncodeFrame(wire::Kill{*killed_}.ToFrame(channel_)));
  }
  place_.give_up(*this);
}

void RoutedCommand::Fail(const Error& error) {
  for (const Stream stream : kBothOutputs) {
    if (!OutputOf(stream).ended) EndOutput(stream);
  }
  wire::Exited failed;
  failed.outcome = Outcome::kInterrupted;
  RecordEnd(failed);
  ToClient(wire::ErrorFrame(0, error));
}

void RoutedCommand::End(Outcome outcome, std::int64_t duration_us) {
  for (const Stream stream : kBothOutputs) {
    if (!OutputOf(stream).ended) EndOutput(stream);
  }
  wire::Exited exited;
  exited.outcome = outcome;
  exited.duration_us = duration_us;
  exited.stdout_bytes = out_.received;
  exited.stderr_bytes = err_.received;
  RecordEnd(exited);
  ToClient(exited.ToFrame(0));
}

void RoutedCommand::GiveUp() {
  using std::chrono::microseconds;
  const auto duration = std::chrono::steady_clock::now() - began_;
  limit_->Stop();
  step_->Stop();
  if (failure_) {
    Fail(*failure_);
  } else {
    End(*killed_ == wire::KillReason::kTimedOut ? Outcome::kTimedOut : Outcome::kCancelled,
        std::chrono::duration_cast<microseconds>(duration).count());
  }
  given_up_ = orphan_ = true;
  kept_ = false;
  sequence_ = 0;
  watchers_.clear();
  DisposeOfAll();
}

// The end is recorded before a client hears of it.
void RoutedCommand::RecordEnd(const wire::Exited& exited) {
  if (sequence_ > 0) {
    place_.journal->End(sequence_, exited);
    place_.ports.JournalWritten();
  }
  RefuseWrites(fmt::format("command {} has ended", sequence_), "'pyro task logs' shows its end");
  for (const ClientChannel& watcher : watchers_) {
    place_.ports.ToClient(watcher.client, EncodeFrame(exited.ToFrame(watcher.channel)));
  }
}

void RoutedCommand::ToClient(Frame frame) {
  if (orphan_) return;
  frame.channel = client_.channel;
  place_.ports.ToClient(client_.client, EncodeFrame(frame));
}

}  // namespace pyro::supervisor
