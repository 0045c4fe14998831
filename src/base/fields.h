// The fields of a struct as data: one row says what the loops must know of one member. The JSON and
// the CBOR of messages and files come from rows, and so do the columns of the registry.
//
// Rows are constants; all of this is thread-safe. `object` is of the struct that owns the rows.

#pragma once

#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/time.h"
#include "pyro/result.h"

namespace pyro {

using Json = nlohmann::json;

enum class FieldKind {
  kNumber,  // An integer, or a duration.
  kFlag,    // bool.
  kChoice,  // An enum with a function Name() and values from 0.
  kTime,    // WallTime; in JSON milliseconds, with _ms behind the name.
  kText,    // std::string.
  kPath,    // std::filesystem::path; empty or absolute.
  kPairs,   // A std::map of texts of at most 4096 bytes; in JSON an object.
  kStruct,
  kOptional,  // std::optional of a struct; left out if it is empty.
  kList,      // std::vector of structs.
};

// What load() returns of an optional number without a value. JSON leaves it out.
inline constexpr std::int64_t kUnset = INT64_MIN;

// The functions get the address of a member.
struct Field {
  const char* name;
  FieldKind kind = FieldKind::kStruct;
  void* (*at)(void* object) = nullptr;                          // The member's address.
  std::int64_t (*load)(const void* member) = nullptr;           // Of the first four kinds.
  void (*store)(void* member, std::int64_t value) = nullptr;    // Of these too.
  std::string_view (*choice)(std::int64_t value) = nullptr;     // "": there is no such value.
  std::size_t (*size)(const void* member) = nullptr;            // Of kOptional and kList.
  void* (*element)(void* member, std::size_t index) = nullptr;  // Of these too.
  void* (*append)(void* member) = nullptr;                      // Of these too; returns it.
  const Field* rows = nullptr;                                  // Of a struct, or of an element.
  std::size_t row_count = 0;
  std::int64_t least = 0;  // Of a number, or of the bytes of a path.
  // Of a number, of the bytes of a text or path, or of the elements of a list or map.
  std::int64_t most = 4096;
  bool optional = false;  // Input may lack it: the member keeps its value.

  // A copy with another value of one member.
  template <typename T>
  constexpr Field With(T Field::*member, std::type_identity_t<T> value) const {
    Field copy = *this;
    copy.*member = value;
    return copy;
  }
  constexpr Field From(std::int64_t value) const { return With(&Field::least, value); }
  constexpr Field To(std::int64_t value) const { return With(&Field::most, value); }
  constexpr Field MayLack() const { return With(&Field::optional, true); }
  template <std::size_t kCount>
  constexpr Field Of(const Field (&fields)[kCount]) const {
    return With(&Field::rows, fields).With(&Field::row_count, kCount);
  }
};

// kProtocol: input from outside that breaks its rules.
Error MalformedMessage(std::string_view what);

Json FieldsToJson(std::span<const Field> rows, const void* object);

// kProtocol: a field is missing, of another type or out of its limits. kInvalidArgument: a path is
// not absolute. Unknown keys are ignored.
Status ReadFields(std::span<const Field> rows, const Json& json, void* object);

// Sets a number, a flag or a time. False: the value is out of the field's limits, or the member's
// type cannot hold it; the member is then unspecified.
bool StoreNumber(const Field& field, std::int64_t value, void* member);

// The value of a choice, or nullopt.
std::optional<std::int64_t> ChoiceOf(const Field& field, std::string_view name);

// The name with spaces, for messages.
std::string InWords(const Field& field);

namespace internal {

// A duration or a point in time.
template <typename T>
concept Timed = requires {
  typename T::period;
};

// A member whose value is a number to its loops.
template <typename T>
struct Scalar {
  using Value = T;
  static constexpr bool kIs = std::is_arithmetic_v<T> || std::is_enum_v<T> || Timed<T>;
  static std::int64_t Load(const void* member) {
    const T& value = *static_cast<const T*>(member);
    if constexpr (Timed<T>) {
      return (value - T{}).count();
    } else {
      return static_cast<std::int64_t>(value);
    }
  }
  static void Store(void* member, std::int64_t value) {
    if constexpr (Timed<T>) {
      *static_cast<T*>(member) = T(decltype(T{} - T{})(value));
    } else {
      *static_cast<T*>(member) = static_cast<T>(value);
    }
  }
  static std::string_view Choice(std::int64_t value) { return Name(static_cast<T>(value)); }
};

template <typename T>
struct Scalar<std::optional<T>> {
  using Value = T;
  static constexpr bool kIs = Scalar<T>::kIs;
  static std::int64_t Load(const void* member) {
    const auto& value = *static_cast<const std::optional<T>*>(member);
    return value ? Scalar<T>::Load(&*value) : kUnset;
  }
  static void Store(void* member, std::int64_t value) {
    auto& optional = *static_cast<std::optional<T>*>(member);
    optional.reset();
    if (value != kUnset) Scalar<T>::Store(&optional.emplace(), value);
  }
  static std::string_view Choice(std::int64_t value) {
    return value == kUnset ? std::string_view() : Scalar<T>::Choice(value);
  }
};

template <typename T>
inline constexpr bool kIsOptional = !std::is_same_v<typename Scalar<T>::Value, T>;

// Of a std::vector or a std::optional.
template <typename T>
struct Elements {
  static std::size_t Size(const void* member) {
    const T& all = *static_cast<const T*>(member);
    if constexpr (kIsOptional<T>) {
      return all.has_value() ? 1 : 0;
    } else {
      return all.size();
    }
  }
  static void* At(void* member, [[maybe_unused]] std::size_t index) {
    T& all = *static_cast<T*>(member);
    if constexpr (kIsOptional<T>) {
      return &*all;
    } else {
      return &all[index];
    }
  }
  static void* Append(void* member) {
    T& all = *static_cast<T*>(member);
    if constexpr (kIsOptional<T>) {
      return &all.emplace();
    } else {
      return &all.emplace_back();
    }
  }
};

template <typename T>
constexpr void Deduce(Field& field) {
  using Value = typename Scalar<T>::Value;
  field.optional = kIsOptional<T>;
  if constexpr (Scalar<T>::kIs) {
    field.kind = std::is_same_v<Value, bool>       ? FieldKind::kFlag
                 : std::is_enum_v<Value>           ? FieldKind::kChoice
                 : std::is_same_v<Value, WallTime> ? FieldKind::kTime
                                                   : FieldKind::kNumber;
    field.load = &Scalar<T>::Load;
    field.store = &Scalar<T>::Store;
    field.most = std::is_same_v<Value, int> ? INT_MAX : INT64_MAX;
    if constexpr (std::is_enum_v<Value>) field.choice = &Scalar<T>::Choice;
  } else if constexpr (std::is_same_v<T, std::string>) {
    field.kind = FieldKind::kText;
  } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
    field.kind = FieldKind::kPath;
  } else if constexpr (std::is_same_v<T, std::map<std::string, std::string>>) {
    field.kind = FieldKind::kPairs;
  } else if constexpr (requires { typename T::value_type; }) {
    field.kind = field.optional ? FieldKind::kOptional : FieldKind::kList;
    field.most = INT64_MAX;
    field.size = &Elements<T>::Size;
    field.element = &Elements<T>::At;
    field.append = &Elements<T>::Append;
  }
}

}  // namespace internal

// The row of a member, whose kind is deduced from its type. `kPath`: pointers to members, from
// Owner on.
template <typename Owner, auto... kPath>
constexpr Field Row(const char* name) {
  using Type = std::remove_reference_t<decltype((std::declval<Owner&>().*....*kPath))>;
  Field field = {.name = name, .at = [](void* object) -> void* {
                   return &(*static_cast<Owner*>(object).*....*kPath);
                 }};
  internal::Deduce<Type>(field);
  return field;
}

}  // namespace pyro
