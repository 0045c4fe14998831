// What a supervisor writes down about its guest.

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "pyro/result.h"
#include "wire/messages.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

// The seam between the supervisor and the disk.
class GuestRecord {
 public:
  virtual ~GuestRecord() = default;
  virtual Status Started(const wire::Ready& ready,
                         const std::optional<wire::GuestNetwork>& network) = 0;
  // The lease begins anew.
  virtual Status Renewed() = 0;
  // The guest is off and its disk is kept.
  virtual Status Stopped() = 0;
  // The guest ended by itself or was lost; `why` is for people.
  virtual Status Lost(const std::string& why) = 0;
  // Directory and row go. Idempotent.
  virtual Status Removed() = 0;
};

// Rows of registry.db, which is opened at the first use.
std::unique_ptr<GuestRecord> MakeVmRecord(const wire::SupervisorConfig& config);

}  // namespace pyro::supervisor
