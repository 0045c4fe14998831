// Hides values in text: each byte of one becomes a byte of "[secret NAME]" or a star, so that no
// length changes. Pure.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pyro {

class Mask {
 public:
  Mask() = default;

  // An empty value is left out.
  void Add(std::string_view name, std::string_view value);
  bool empty() const { return hidden_.empty(); }

  // The same bytes, with those of each value hidden, as `masked`, which has at least as many.
  void Hide(std::string_view bytes, std::string& masked) const;
  std::string Hide(std::string_view bytes) const;

  // How many bytes at the end of `bytes` may begin a value.
  std::size_t Unsure(std::string_view bytes) const;

 private:
  struct Hidden {
    std::string value;
    std::string label;  // Of the same size.
  };
  std::vector<Hidden> hidden_;
};

// The same for a text that comes in pieces. Keeps the end of a piece back as long as it may begin a
// value.
class MaskedStream {
 public:
  // `mask` is borrowed, and may grow.
  explicit MaskedStream(const Mask& mask) : mask_(mask) {}

  // What can be given on now.
  std::string Feed(std::string_view bytes);
  // What was kept back; nothing more follows.
  std::string End();

 private:
  const Mask& mask_;
  std::string kept_;    // As it came.
  std::string masked_;  // The same, with what is hidden so far.
};

}  // namespace pyro
