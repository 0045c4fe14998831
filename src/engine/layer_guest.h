// The guest that fills a disk with the layers of an image.

#pragma once

#include <string>
#include <vector>

#include "engine/context.h"
#include "image/oci/builder_guest.h"
#include "pyro/result.h"

namespace pyro::engine {

// A VM of its own for each disk: it ends with the call, or with this process.
class LayerGuest final : public image::BuilderGuest {
 public:
  // `context` is borrowed.
  explicit LayerGuest(const Context& context) : context_(context) {}

  Result<std::vector<std::string>> Build(const image::GuestBuild& build,
                                         const image::ProgressFn& progress,
                                         image::Cancellation cancel) override;

 private:
  const Context& context_;
};

// The error of a layer, from 1, that the guest could not apply. One of another cause is returned as
// it is.
Error ExplainLayer(Error error, std::size_t number);

}  // namespace pyro::engine
