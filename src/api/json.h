// The one JSON form of each value, made from its rows, for --json, Python and MCP. Names are
// stable.

#pragma once

#include "api/rows.h"
#include "base/json.h"
#include "pyro/error.h"

namespace pyro {

namespace api {

Json ToJson(const Struct& rows, const void* object);

// One field's value alone.
Json ToJson(const Field& field, const void* value);

enum class Unknown { kRefused, kIgnored };

// Sets the fields of `object` that the document has; null leaves a field as it is. Reads what
// ToJson() writes. kInvalidArgument, naming the field: a name that is not known, a required field
// that is missing, a value of another type or out of its range.
Status FromJson(const Struct& rows, const Json& document, void* object,
                Unknown unknown = Unknown::kRefused);

template <typename T>
Status FromJson(const Json& document, T& object, Unknown unknown = Unknown::kRefused) {
  return FromJson(Rows<T>(), document, &object, unknown);
}

}  // namespace api

Json ToJson(const Error& error);

template <typename T>
Json ToJson(const T& value) {
  return api::ToJson(api::Rows<T>(), &value);
}

}  // namespace pyro
