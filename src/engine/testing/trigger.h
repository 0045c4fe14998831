// A sink that does something when a command has said its first word.

#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/try.h"
#include "pyro/engine.h"

namespace pyro::engine {

class Trigger final : public OutputSink {
 public:
  // What both streams say is added to `text`, if given.
  explicit Trigger(std::function<Status()> at_first, std::string* text = nullptr)
      : at_first_(std::move(at_first)), text_(text) {}

  int WritableFd(OutputStream) override { return -1; }

  Result<std::size_t> Write(OutputStream, std::string_view bytes) override {
    if (at_first_) PYRO_RETURN_IF_ERROR(std::exchange(at_first_, nullptr)());
    if (text_ != nullptr) text_->append(bytes);
    return bytes.size();
  }

 private:
  std::function<Status()> at_first_;
  std::string* text_;
};

}  // namespace pyro::engine
