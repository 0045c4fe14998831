#include "base/mask.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace pyro {

void Mask::Add(std::string_view name, std::string_view value) {
  if (value.empty()) return;
  std::string label = fmt::format("[secret {}]", name);
  label.resize(value.size(), '*');
  hidden_.push_back({std::string(value), std::move(label)});
}

void Mask::Hide(std::string_view bytes, std::string& masked) const {
  for (const Hidden& one : hidden_) {
    // Values that overlap are each hidden: they are looked for in the bytes as they came.
    for (std::size_t at = bytes.find(one.value); at != std::string_view::npos;
         at = bytes.find(one.value, at + 1)) {
      masked.replace(at, one.label.size(), one.label);
    }
  }
}

std::string Mask::Hide(std::string_view bytes) const {
  std::string masked(bytes);
  Hide(bytes, masked);
  return masked;
}

std::size_t Mask::Unsure(std::string_view bytes) const {
  std::size_t most = 0;
  for (const Hidden& one : hidden_) {
    const std::string_view value = one.value;
    for (std::size_t size = std::min(value.size() - 1, bytes.size()); size > most; --size) {
      if (bytes.substr(bytes.size() - size) == value.substr(0, size)) most = size;
    }
  }
  return most;
}

std::string MaskedStream::Feed(std::string_view bytes) {
  kept_.append(bytes);
  masked_.append(bytes);
  mask_.Hide(kept_, masked_);
  const std::size_t ready = kept_.size() - mask_.Unsure(kept_);
  std::string given = masked_.substr(0, ready);
  kept_.erase(0, ready);
  masked_.erase(0, ready);
  return given;
}

std::string MaskedStream::End() {
  kept_.clear();
  return std::exchange(masked_, {});
}

}  // namespace pyro
