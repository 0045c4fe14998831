// The fields that a request or a result (src/api) shares with the record of an instance, by name.

#pragma once

#include "api/rows.h"
#include "state/instance/instance_record.h"

namespace pyro::engine {

// Sets each field of the record that `options` has, too.
void FromOptions(const api::Struct& rows, const void* options, state::InstanceRecord& record);

// Sets each field of `info` that the record has, too.
void ToInfo(const state::InstanceRecord& record, const api::Struct& rows, void* info);

}  // namespace pyro::engine
