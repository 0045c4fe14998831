// Rows that several structs have, with texts of their own. For the files with rows alone.

#pragma once

#include "api/field.h"
#include "api/rows.h"

// Defines Rows() of a struct.
#define PYRO_ROWS(type, name, sentence, fields)                           \
  template <>                                                             \
  const Struct& Rows<type>() {                                            \
    static const Struct kStruct = Describe<type>(name, sentence, fields); \
    return kStruct;                                                       \
  }

namespace pyro::api {

inline constexpr const char* kMachines = "kvm|tcg|usermode";
inline constexpr const char* kStates = "created|started|stopped";
inline constexpr const char* kModes = "pending|guest_virtio_serial|guest_vsock|host_compat";

template <typename Owner>
constexpr Field TtlRow(const char* sentence, const char* for_models) {
  return Row<Owner, &Owner::ttl_seconds>("ttl_seconds", sentence)
      .In(1, kMaxTtlSeconds)
      .Of(Unit::kSeconds)
      .ForModels(for_models);
}

template <typename Owner>
constexpr Field TimeoutRow(const char* sentence, const char* for_models) {
  return Row<Owner, &Owner::timeout_seconds>("timeout_seconds", sentence)
      .In(0, kMaxTimeoutSeconds)
      .Of(Unit::kSeconds)
      .ForModels(for_models);
}

template <typename Owner>
constexpr Field HostCompatRow() {
  return Row<Owner, &Owner::allow_host_compat>("allow_host_compat",
                                               "If no guest can start, run on this host in a jail")
      .ForModels("WEAKER ISOLATION: a jail on the host. Only if asked.");
}

template <typename Owner>
constexpr Field CommandRow() {
  return Row<Owner, &Owner::command>("command",
                                     "A text for the guest's shell, or a list of words that run "
                                     "without a shell")
      .Required()
      .ForModels("A string runs in a shell.");
}

template <typename Owner>
constexpr Field EnvRow() {
  return Row<Owner, &Owner::command, &Command::env>(
             "env", "Variables for the command; pyro keeps none of their values")
      .ForModels("Values are not kept.");
}

template <typename Owner>
constexpr Field CwdRow() {
  return Row<Owner, &Owner::command, &Command::cwd>(
             "cwd", "Run it in this directory, relative to /workspace")
      .Named("PATH")
      .ForModels("Relative to /workspace.");
}

template <typename Owner>
constexpr Field UserRow() {
  return Row<Owner, &Owner::command, &Command::user>(
             "user", "Run it as USER or USER:GROUP, names or numbers")
      .Named("USER")
      .ForModels("Name or uid, and :group.");
}

// Of a call that starts a task's guest if it is off.
template <typename Owner>
constexpr Field RestartRow() {
  return Row<Owner, &Owner::restart>(
      "restart", "What of the task the stop has kept; null: it was not stopped");
}

template <typename Owner>
constexpr Field AllowRow() {
  return Row<Owner, &Owner::allow>("allow", "Reach this HOST[:PORT] alone, or @SET; repeatable")
      .Named("HOST")
      .ForModels("Only these: NAME:PORT, @pypi.");
}

template <typename Owner>
constexpr Field DenyRow() {
  return Row<Owner, &Owner::deny>("deny", "Refuse this HOST[:PORT]; goes before --allow")
      .Named("HOST")
      .NotForModels();
}

template <typename Owner>
constexpr Field NetworkPolicyRow() {
  return Row<Owner, &Owner::network_policy>("network_policy",
                                            "Take such rules from a file of 'allow HOST' lines")
      .Named("FILE")
      .NotForModels();
}

template <typename Owner>
constexpr Field SecretsRow() {
  return Row<Owner, &Owner::secrets>("secrets", "Send NAME=env:VAR or file:PATH to its --for HOST")
      .Option("secret")
      .Named("SECRET")
      .NotForModels();
}

template <typename Owner>
constexpr Field CacheRow() {
  return Row<Owner, &Owner::cache>("cache", "Get packages through a cache that guests share")
      .NotForModels();
}

template <typename Owner>
constexpr Field KeptCacheRow() {
  return Row<Owner, &Owner::cache>("cache", "Its downloads come through the shared cache");
}

template <typename Owner>
constexpr Field KeptSecretsRow() {
  return Row<Owner, &Owner::secrets>("secrets", "Where its secrets are and for whom; no value");
}

template <typename Owner>
constexpr Field NetworkRulesRow() {
  return Row<Owner, &Owner::network_rules>("network_rules",
                                           "What it may reach, a rule each; empty: the outside");
}

template <typename Owner>
constexpr Field TaskIdRow() {
  return Row<Owner, &Owner::task_id>("task_id", "The task's id");
}

}  // namespace pyro::api
