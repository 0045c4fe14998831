// JSON Schemas of tools, put together from a small vocabulary that every client understands: no
// $ref, no lists of types, combinators only below a property. Every model reads them in each of its
// conversations, so they say what a name does not say, and no more.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace pyro::mcp_server {

Json TextSchema(std::string_view description);
Json ChoiceSchema(std::string_view description, const std::vector<std::string_view>& choices);
Json IntegerSchema(std::string_view description, std::int64_t minimum, std::int64_t maximum);
Json NumberSchema(std::string_view description, double minimum, double maximum);
Json FlagSchema(std::string_view description);

// `schema` with a default.
Json WithDefault(Json schema, Json value);

// A string for the guest's shell, or a list of words.
Json CommandSchema(std::string_view description);

using Properties = std::vector<std::pair<std::string, Json>>;
// Closed: other properties are refused.
Json InputSchema(const Properties& properties, const std::vector<std::string>& required = {});

// The fields of a result that programs rely on, with spaces between: NAME, or NAME:TYPE for another
// type than string; NAME! is always there. Open: results hold more.
Json OutputSchema(std::string_view fields);

// Without members that are null, at any depth, so that schemas need no lists of types.
Json WithoutNulls(Json value);

}  // namespace pyro::mcp_server
