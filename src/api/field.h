// Fields as data: one row says all that any surface needs to know of one field. JSON, range checks,
// options, schemas and documents are made from rows by plain loops.
//
// Rows are constants; all of this is thread-safe.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/fields.h"
#include "pyro/result.h"
#include "pyro/types.h"

namespace pyro::api {

struct Struct;

enum class Kind {
  kText,
  kTexts,
  kPairs,    // A std::map of texts; in JSON an object.
  kInteger,  // Optional or not; in JSON null if it has no value.
  kUnsigned,
  kFlag,
  kChoice,    // An enum with a function Name() and values from 0; optional or not.
  kDuration,  // std::chrono::milliseconds; in JSON a number of seconds.
  kCommand,   // A Command; in JSON a text for the shell, or a list of words.
  kStruct,
  kOptional,  // std::optional of a struct.
  kList,      // std::vector of structs.
  kInline,    // A base, or a member, whose fields count as the outer struct's.
  kAbsent,    // Takes an inlined field of this name away.
};

enum class Unit { kNone, kSeconds, kMilliseconds, kMib, kBytes, kMode };

// What JSON has for a value that is unset: one that equals the default.
enum class Presence { kAlways, kNull, kLeftOut };

inline constexpr std::int64_t kNoLeast = INT64_MIN;
inline constexpr std::int64_t kNoMost = INT64_MAX;

// The functions get the address of a member.
struct Field {
  const char* name;      // In JSON, Python and MCP.
  const char* sentence;  // For people; what --help says of an option.
  Kind kind;
  void* (*at)(void* object);                                    // The member's address.
  const Struct& (*rows)() = nullptr;                            // Of a struct.
  std::size_t (*size)(const void* member) = nullptr;            // Of kOptional and kList.
  void* (*element)(void* member, std::size_t index) = nullptr;  // Of these too.
  void* (*append)(void* member) = nullptr;                      // Of these too; returns it.
  std::int64_t (*load)(const void* member) = nullptr;           // Of numbers, flags, choices.
  void (*store)(void* member, std::int64_t value) = nullptr;    // Of these too.
  std::string_view (*choice)(std::int64_t value) = nullptr;     // "": there is no such value.
  const char* for_models = nullptr;                             // nullptr: `sentence`.
  const char* default_for_models = nullptr;  // Of a required text: what models need not give.
  const char* words = nullptr;               // Of a text: all that it can be, with | between.
  const char* value_name = "N";              // In --help.
  const char* option = nullptr;              // nullptr: the option is --name with dashes.
  const char* null_unless = nullptr;         // JSON has null while the field of this name is unset.
  const char* count = nullptr;               // JSON has the list's length under this name, too.
  std::int64_t least = kNoLeast;
  std::int64_t most = kNoMost;
  std::int64_t usual = kNoLeast;  // Of an optional number: what counts without one.
  Unit unit = Unit::kNone;
  Presence presence = Presence::kAlways;
  bool required = false;
  bool positional = false;  // On the command line, without a name.
  bool host_path = false;   // Is, or goes with, a path of the host.
  bool not_for_models = false;

  // A copy with another value of one member.
  template <typename T>
  constexpr Field With(T Field::*member, std::type_identity_t<T> value) const {
    Field copy = *this;
    copy.*member = value;
    return copy;
  }

  constexpr Field ForModels(const char* text) const { return With(&Field::for_models, text); }
  constexpr Field DefaultForModels(const char* text) const {
    return With(&Field::default_for_models, text);
  }
  constexpr Field In(std::int64_t from, std::int64_t to = kNoMost) const {
    return With(&Field::least, from).With(&Field::most, to);
  }
  // Of a text: the most bytes. It is then a name: without control and format characters.
  constexpr Field Longest(std::int64_t bytes) const { return With(&Field::most, bytes); }
  constexpr Field Of(Unit one) const { return With(&Field::unit, one); }
  constexpr Field NullIfUnset() const { return With(&Field::presence, Presence::kNull); }
  constexpr Field OutIfUnset() const { return With(&Field::presence, Presence::kLeftOut); }
  constexpr Field NullUnless(const char* other) const { return With(&Field::null_unless, other); }
  constexpr Field OneOf(const char* all) const { return With(&Field::words, all); }
  constexpr Field Counted() const { return With(&Field::count, "count"); }
  constexpr Field Usually(std::int64_t value) const { return With(&Field::usual, value); }
  constexpr Field Option(const char* word) const { return With(&Field::option, word); }
  constexpr Field Required() const { return With(&Field::required, true); }
  constexpr Field Named(const char* value) const { return With(&Field::value_name, value); }
  constexpr Field Positional(const char* value) const {
    return Named(value).With(&Field::positional, true);
  }
  constexpr Field OnHost() const { return With(&Field::host_path, true); }
  constexpr Field NotForModels() const { return With(&Field::not_for_models, true); }
};

struct Struct {
  const char* name;
  const char* sentence;
  std::span<const Field> fields;
  const void* defaults;             // A default-constructed object.
  std::shared_ptr<void> (*make)();  // A new one.
};

// The rows of a struct of include/pyro; rows.h says of which.
template <typename T>
const Struct& Rows();

template <typename T>
Struct Describe(const char* name, const char* sentence, std::span<const Field> fields) {
  static const T kDefaults{};
  return {name, sentence, fields, &kDefaults,
          []() -> std::shared_ptr<void> { return std::make_shared<T>(); }};
}

// A field of one object, with the field of a default-constructed one.
struct Member {
  const Field& field;
  void* value;
  const void* fallback;
};

// All fields of an object: those of inlined structs in their place, except names that the struct
// has itself. The values may be changed if `object` may.
std::vector<Member> MembersOf(const Struct& rows, const void* object);

// The same of a default-constructed object.
std::vector<Member> MembersOf(const Struct& rows);

// The names of a choice, in the order of their values, which count from 0. The first may be empty:
// none.
std::vector<std::string_view> ChoicesOf(const Field& field);

// kInvalidArgument, naming the field: a number is out of its range.
Status CheckRange(std::string_view name, std::int64_t value, std::int64_t least, std::int64_t most);
// Of a text: it is too long, or has a limit and is not UTF-8.
Status CheckText(const Field& field, const std::string& value);
// The same for all fields.
Status CheckRanges(const Struct& rows, const void* object);
template <typename T>
Status CheckRanges(const T& object) {
  return CheckRanges(Rows<T>(), &object);
}

namespace internal {

using pyro::internal::Elements;
using pyro::internal::kIsOptional;
using pyro::internal::Scalar;

template <typename T>
constexpr void Deduce(Field& field) {
  if constexpr (Scalar<T>::kIs) {
    using Value = typename Scalar<T>::Value;
    constexpr bool kChoice = std::is_enum_v<Value>;
    field.kind = std::is_same_v<T, bool>       ? Kind::kFlag
                 : kChoice                     ? Kind::kChoice
                 : std::is_unsigned_v<Value>   ? Kind::kUnsigned
                 : std::is_arithmetic_v<Value> ? Kind::kInteger
                                               : Kind::kDuration;
    field.load = &Scalar<T>::Load;
    field.store = &Scalar<T>::Store;
    if constexpr (kChoice) field.choice = &Scalar<T>::Choice;
  } else if constexpr (std::is_same_v<T, std::string>) {
    field.kind = Kind::kText;
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    field.kind = Kind::kTexts;
  } else if constexpr (std::is_same_v<T, std::map<std::string, std::string>>) {
    field.kind = Kind::kPairs;
  } else if constexpr (std::is_same_v<T, Command>) {
    field.kind = Kind::kCommand;
  } else if constexpr (requires { typename T::value_type; }) {
    field.kind = kIsOptional<T> ? Kind::kOptional : Kind::kList;
    field.rows = &Rows<typename T::value_type>;
    field.size = &Elements<T>::Size;
    field.element = &Elements<T>::At;
    field.append = &Elements<T>::Append;
  } else {
    field.kind = Kind::kStruct;
    field.rows = &Rows<T>;
  }
}

}  // namespace internal

// The row of a member, whose kind is deduced from its type. `kPath`: pointers to members, from
// Owner on.
template <typename Owner, auto... kPath>
constexpr Field Row(const char* name, const char* sentence) {
  using Type = std::remove_reference_t<decltype((std::declval<Owner&>().*....*kPath))>;
  Field field = {
      .name = name, .sentence = sentence, .kind = Kind::kText, .at = [](void* object) -> void* {
        return &(*static_cast<Owner*>(object).*....*kPath);
      }};
  internal::Deduce<Type>(field);
  return field;
}

// The rows of a base of Owner, or with a path those of a member, as if they were Owner's own.
template <typename Owner, typename Part, auto... kPath>
constexpr Field Inline() {
  return {.name = "",
          .sentence = "",
          .kind = Kind::kInline,
          .at = [](void* object) -> void* {
            Part* part = &(*static_cast<Owner*>(object).*....*kPath);
            return part;
          },
          .rows = &Rows<Part>};
}

constexpr Field Absent(const char* name) {
  return {.name = name, .sentence = "", .kind = Kind::kAbsent, .at = nullptr};
}

}  // namespace pyro::api
