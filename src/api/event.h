// The JSON form of an event: the common members, and those that its kind names. A stream is no
// operation, so it has no rows.

#pragma once

#include <vector>

#include "base/json.h"
#include "pyro/watch.h"

namespace pyro {

Json ToJson(const Event& event);
Json ToJson(const std::vector<Event>& events);

}  // namespace pyro
