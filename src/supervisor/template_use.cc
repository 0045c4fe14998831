#include "supervisor/template_use.h"

#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "vmm/template.h"

namespace pyro::supervisor {
namespace {

constexpr std::chrono::seconds kTemplateDelay{2};  // Of idleness, before one is made.

}  // namespace

std::optional<vmm::FrozenGuest> TemplateUse::Find() {
  if (config_.templ.directory.empty()) return std::nullopt;
  auto frozen = vmm::OpenTemplate(config_.templ.directory, config_.templ.key);
  warm_ = frozen.ok();
  if (warm_) return std::move(*frozen);
  bad_ = frozen.error().code == ErrorCode::kDataLoss;
  wanted_ = true;
  return std::nullopt;
}

void TemplateUse::Failed() {
  warm_ = false;
  bad_ = true;
  wanted_ = true;
}

void TemplateUse::GuestIsReady(bool ends_with_its_command) {
  booted_ = true;
  if (warm_) vmm::TouchTemplate(config_.templ.directory);
  // The guest boots without it, so the template was at fault.
  if (bad_) (void)vmm::RemoveTemplate(config_.templ.directory);
  const std::filesystem::path& next = config_.templ.next_directory;
  std::error_code unknown;
  if (!next.empty() && !std::filesystem::exists(next, unknown)) wanted_ = true;
  if (wanted_ && !ends_with_its_command) MakeWhenIdle();
}

void TemplateUse::MakeWhenIdle() {
  delay_->Start(kTemplateDelay, [this] {
    if (idle_()) return Make();
    MakeWhenIdle();
  });
}

void TemplateUse::GuestEnded() {
  delay_->Stop();
  if (booted_) Make();
}

void TemplateUse::Make() {
  if (std::exchange(wanted_, false)) helpers_.StartTemplateMaker(config_);
}

}  // namespace pyro::supervisor
