// The operations of environments, and the rows of this host.

#include "api/operations.h"
#include "api/rows.h"
#include "api/shared_rows.h"

namespace pyro::api {
namespace {

constexpr Field kDoctorCheck[] = {
    Row<DoctorCheck, &DoctorCheck::name>("name", "What is checked"),
    Row<DoctorCheck, &DoctorCheck::ok>("ok", "It works"),
    Row<DoctorCheck, &DoctorCheck::required>("required", "Without it no guest runs"),
    Row<DoctorCheck, &DoctorCheck::detail>("detail", "What was found"),
    Row<DoctorCheck, &DoctorCheck::fix>("fix", "The command that fixes it").NullIfUnset(),
};

constexpr Field kDoctorKvm[] = {
    Row<DoctorKvm, &DoctorKvm::exists>("exists", "The device is there"),
    Row<DoctorKvm, &DoctorKvm::readable>("readable", "This user may read it"),
    Row<DoctorKvm, &DoctorKvm::writable>("writable", "This user may write it"),
};

constexpr Field kDoctorCapabilities[] = {
    Row<DoctorCapabilities, &DoctorCapabilities::vm_boot>("vm_boot", "A VM can boot"),
    Row<DoctorCapabilities, &DoctorCapabilities::guest_exec>("guest_exec",
                                                             "Commands run in guests"),
    Row<DoctorCapabilities, &DoctorCapabilities::guest_network>("guest_network",
                                                                "Guests can have a network"),
    Row<DoctorCapabilities, &DoctorCapabilities::host_compat>(
        "host_compat", "Commands can run on this host in a jail"),
};

constexpr Field kDoctorNetworking[] = {
    Row<DoctorNetworking, &DoctorNetworking::tun>("tun", "The tun device is there"),
    Row<DoctorNetworking, &DoctorNetworking::ip_forward>("ip_forward", "The host forwards packets"),
    Row<DoctorNetworking, &DoctorNetworking::backend>("backend", "What connects guests")
        .NullIfUnset(),
    Row<DoctorNetworking, &DoctorNetworking::ipv6>("ipv6", "Guests reach IPv6 addresses, too"),
};

constexpr Field kDoctorAccelerator[] = {
    Row<DoctorAccelerator, &DoctorAccelerator::name>("name", "kvm or tcg").NullIfUnset(),
    Row<DoctorAccelerator, &DoctorAccelerator::reason>("reason", "Why it is this one")
        .NullIfUnset(),
};

constexpr Field kDoctorMachine[] = {
    Row<DoctorMachine, &DoctorMachine::name>("name", "Its name").OneOf(kMachines),
    Row<DoctorMachine, &DoctorMachine::works>("works", "Guests can run on it"),
    Row<DoctorMachine, &DoctorMachine::reason>("reason", "Why it does not work").NullIfUnset(),
    Row<DoctorMachine, &DoctorMachine::fix>("fix", "The command that fixes it").NullIfUnset(),
};

constexpr Field kDoctorChoice[] = {
    Row<DoctorChoice, &DoctorChoice::name>("name", "Its name; null if none works")
        .OneOf(kMachines)
        .NullIfUnset(),
    Row<DoctorChoice, &DoctorChoice::reason>("reason", "Why it is this one").NullIfUnset(),
    Row<DoctorChoice, &DoctorChoice::decided_by>(
        "decided_by", "This host, a variable, or the path of the configuration file")
        .NullIfUnset(),
};

constexpr Field kSetting[] = {
    Row<Setting, &Setting::name>("name", "Its name"),
    Row<Setting, &Setting::value>("value", "Its value, if it is set").NullIfUnset(),
    Row<Setting, &Setting::usual>("usual", "What counts while it is not set"),
    Row<Setting, &Setting::values>("values", "All that it can be"),
    Row<Setting, &Setting::sentence>("sentence", "What it decides"),
};

constexpr Field kSettingList[] = {
    Row<SettingList, &SettingList::file>("file", "The configuration file; it need not exist"),
    Row<SettingList, &SettingList::settings>("settings", "All that can be set"),
};

template <typename Owner>
constexpr Field SettingNameRow() {
  return Row<Owner, &Owner::name>("name", "The setting, such as machine")
      .Required()
      .Positional("NAME");
}

constexpr Field kSettingRequest[] = {SettingNameRow<SettingRequest>()};

constexpr Field kSetSettingRequest[] = {
    Inline<SetSettingRequest, SettingRequest>(),
    Row<SetSettingRequest, &SetSettingRequest::value>("value", "Its new value")
        .Required()
        .Positional("VALUE"),
};

constexpr Field kDoctorReport[] = {
    Row<DoctorReport, &DoctorReport::version>("version", "The version of pyro"),
    Row<DoctorReport, &DoctorReport::platform>("platform", "Such as linux-x86_64"),
    Row<DoctorReport, &DoctorReport::runtime_ok>("runtime_ok", "Guests can run here"),
    Row<DoctorReport, &DoctorReport::kvm>("kvm", "The device of KVM"),
    Row<DoctorReport, &DoctorReport::environment_cache>("environment_cache",
                                                        "The directory of environments"),
    Row<DoctorReport, &DoctorReport::state_directory>("state_directory",
                                                      "The directory of VMs and tasks"),
    Row<DoctorReport, &DoctorReport::capabilities>("capabilities", "What works here"),
    Row<DoctorReport, &DoctorReport::networking>("networking", "The network of this host"),
    Row<DoctorReport, &DoctorReport::accelerator>("accelerator", "What runs the guests' CPUs"),
    Row<DoctorReport, &DoctorReport::machine>("machine",
                                              "The machine of a guest whose call names none"),
    Row<DoctorReport, &DoctorReport::machines>("machines", "What can run a guest"),
    Row<DoctorReport, &DoctorReport::configuration_file>(
        "configuration_file", "The file of 'pyro config'; it need not exist")
        .NullIfUnset(),
    Row<DoctorReport, &DoctorReport::checks>("checks", "The state of each requirement"),
    Row<DoctorReport, &DoctorReport::issues>("issues", "One sentence each, with a remedy"),
};

Result<ExportedEnvironment> CallExportEnvironment(Engine& engine,
                                                  const ExportEnvironmentRequest& request,
                                                  const CallIo& io) {
  return engine.ExportEnvironment(request, -1, io);
}

constexpr Operation kHostOperations[] = {
    By<&EnvironmentList::environments, NoArguments, &Engine::ListEnvironments>({
        .name = "env list",
        .method = "list_environments",
        .tool = "vm_list_environments",
        .effect = Effect::kReads,
        .sentence = "Show the catalog and the images, and what is installed",
        .for_models =
            "List the environments of VMs and tasks with what each holds. One that is not "
            "installed is built at its first use, about a minute.",
        .for_python = "Returns the catalog, with what is installed of it, and the images.",
    }),
    By<PullEnvironmentRequest, &Engine::PullEnvironment, kWhole>({
        .name = "env pull",
        .method = "pull_environment",
        .effect = Effect::kCreates,
        .sentence = "Install an environment or an image, or repair it",
        .for_python =
            "Installs an environment of the catalog or an image, or repairs it. Returns at once if "
            "it is installed.\n\n"
            "An image is ``oci:REGISTRY/NAME[:TAG][@sha256:DIGEST]``, ``oci-archive:FILE[:TAG]``, "
            "``docker-archive:FILE[:NAME:TAG]`` or ``oci-layout:DIR[:TAG]``. It is pulled again if "
            "its source has another one by now; tasks keep theirs. ``name`` takes the place of its "
            "own name. ``authfile`` has the registry's credentials. ``plain_http``: without TLS.\n\n"
            "An environment of the catalog takes about a minute. UnavailableError: the package "
            "mirror or the registry cannot be reached. PermissionDeniedError: the registry wants a "
            "login.",
        .no_tool =
            "the first use of an environment builds or pulls it, and the next use repairs it",
    }),
    By<TagEnvironmentRequest, &Engine::TagEnvironment, &EnvironmentRequest::environment,
       &TagEnvironmentRequest::name>({
        .name = "env tag",
        .method = "tag_environment",
        .effect = Effect::kCreates,
        .sentence = "Give an installed image another name",
        .for_python =
            "Installs an image under another name too, without copies of its files. The name then "
            "stays with this version, also when the image is pulled again.",
        .no_tool = "the user decides how images are called",
    }),
    By<CommitEnvironmentRequest, &Engine::CommitEnvironment, kWhole>({
        .name = "env commit",
        .method = "commit_environment",
        .effect = Effect::kCreates,
        .needs = kGuest,
        .sentence = "Make an environment of a task's root file system",
        .for_python =
            "Makes an environment of a task's root file system, as it is on its disk now.\n\n"
            "The task goes on, or stays stopped. Without what is in /tmp, and without /workspace "
            "unless ``workspace`` is true. An environment of that name is replaced; tasks keep "
            "theirs. The words of the task's commands are kept: ``commit`` of "
            "``inspect_environment``.",
        .no_tool = "the user decides which tasks become environments, and how they are called",
    }),
    By<ExportEnvironmentRequest, CallExportEnvironment, kWhole>({
        .name = "env export",
        .method = "export_environment",
        .effect = Effect::kChanges,
        .needs = kGuest | kHostPath,
        .sentence = "Write an installed environment as an OCI archive",
        .for_python =
            "Writes an installed environment to a new file as an OCI archive, which podman and "
            "skopeo read.\n\n"
            "An image is written as it was pulled. Another environment becomes one layer, read by "
            "a guest. ``force`` replaces a regular file; otherwise AlreadyExistsError.",
        .no_tool = "the user decides what leaves this host",
    }),
    By<EnvironmentRequest, &Engine::RemoveEnvironment, &EnvironmentRequest::environment>({
        .name = "env remove",
        .method = "remove_environment",
        .effect = Effect::kEnds,
        .sentence = "Remove an installed environment",
        .for_python = "Removes an installed environment. WrongStateError: a VM or a task needs it.",
        .no_tool = "vm_prune_environments removes what nothing needs",
    }),
    By<InspectEnvironmentRequest, &Engine::InspectEnvironment, &EnvironmentRequest::environment,
       &InspectEnvironmentRequest::verify>({
        .name = "env inspect",
        .method = "inspect_environment",
        .tool = "vm_inspect_environment",
        .effect = Effect::kReads,
        .sentence = "Show what an installed environment consists of",
        .for_models = "Show the packages and the kernel of an installed environment.",
        .for_python =
            "Returns the content of an installed environment. DataLossError: it is broken; pull "
            "it again.\n\n"
            "``verify`` reads every file and compares its digest.",
    }),
    By<PruneEnvironmentsRequest, &Engine::PruneEnvironments, &PruneEnvironmentsRequest::all>({
        .name = "env prune",
        .method = "prune_environments",
        .tool = "vm_prune_environments",
        .effect = Effect::kEnds,
        .sentence = "Remove what is broken, interrupted or superseded",
        .for_models = "Remove broken, interrupted and superseded environments.",
        .for_python =
            "Removes broken, interrupted and superseded environments, except those that a VM or "
            "task needs.\n\n"
            "With ``all`` it removes installed ones too.",
    }),
    By<NoArguments, &Engine::ListSettings>({
        .name = "config list",
        .method = "list_settings",
        .effect = Effect::kReads,
        .sentence = "Show all settings and their file",
        .for_python = "Returns the settings of the configuration file, and its path.",
        .no_tool = "vm_doctor tells what the settings come to",
    }),
    By<SettingRequest, &Engine::GetSetting, &SettingRequest::name>({
        .name = "config get",
        .method = "get_setting",
        .effect = Effect::kReads,
        .sentence = "Show one setting",
        .for_python = "Returns one setting. InvalidArgumentError: there is none of that name.",
        .no_tool = "vm_doctor tells what the settings come to",
    }),
    By<SetSettingRequest, &Engine::SetSetting, &SettingRequest::name, &SetSettingRequest::value>({
        .name = "config set",
        .method = "set_setting",
        .effect = Effect::kChanges,
        .sentence = "Set a setting in the configuration file",
        .for_python =
            "Sets a setting in the configuration file: it counts for every later call that does "
            "not say it itself.\n\n"
            "InvalidArgumentError: there is none of that name, or it cannot have that value.",
        .no_tool = "the user decides this, and no model in the user's name",
    }),
    By<SettingRequest, &Engine::UnsetSetting, &SettingRequest::name>({
        .name = "config unset",
        .method = "unset_setting",
        .effect = Effect::kChanges,
        .sentence = "Remove a setting from the configuration file",
        .for_python = "Removes a setting from the configuration file; one that is not set is no "
                      "error.",
        .no_tool = "the user decides this, and no model in the user's name",
    }),
    By<NoArguments, &Engine::Df>({
        .name = "df",
        .method = "df",
        .effect = Effect::kReads,
        .sentence = "Show where this user's disk goes, and what gc would free",
        .for_python =
            "Returns what environments, tasks and all else take on disk, each file once, with what "
            "``gc`` would free of it.",
        .no_tool = "the user decides what leaves the disk; errors name the command",
    }),
    By<CollectGarbageRequest, &Engine::CollectGarbage, &CollectGarbageRequest::dry_run>({
        .name = "gc",
        .method = "gc",
        .effect = Effect::kEnds,
        .sentence = "Free the disk of what nothing needs",
        .for_python =
            "Removes what nothing needs and what can be made again: versions that no task needs, "
            "layers and templates without one, downloads above their limit, ended VMs, and what "
            "killed processes left.\n\n"
            "Never a task, its snapshots or its journal, and nothing that a process uses. With "
            "``dry_run`` it removes nothing.",
        .no_tool = "the user decides what leaves the disk; errors name the command",
    }),
    By<NoArguments, &Engine::ListLimits>({
        .name = "limits",
        .method = "limits",
        .effect = Effect::kReads,
        .sentence = "Show the limits in force, and what is used of them",
        .for_python = "Returns the limits of this user, where each comes from, and its use now.",
        .no_tool = "errors at a limit name it, and the user sets it",
    }),
    By<NoArguments, &Engine::Doctor>({
        .name = "doctor",
        .method = "doctor",
        .tool = "vm_doctor",
        .effect = Effect::kReads,
        .sentence = "Find out what works here, and how to fix the rest",
        .for_models = "Find out if VMs can run here and how fast, with a remedy for each fault.",
        .for_python =
            "Finds out what works on this host, by starting a guest too, with a remedy for what does "
            "not.",
    }),
};

}  // namespace

std::span<const Operation> HostOperations() { return kHostOperations; }

PYRO_ROWS(NoArguments, "NoArguments", "Nothing.", std::span<const Field>())
PYRO_ROWS(DoctorCheck, "DoctorCheck", "The state of one requirement of pyro on this host.",
          kDoctorCheck)
PYRO_ROWS(DoctorKvm, "DoctorKvm", "The device of KVM.", kDoctorKvm)
PYRO_ROWS(DoctorCapabilities, "DoctorCapabilities", "What works on this host.", kDoctorCapabilities)
PYRO_ROWS(DoctorNetworking, "DoctorNetworking", "The network of this host.", kDoctorNetworking)
PYRO_ROWS(DoctorAccelerator, "DoctorAccelerator", "What runs the guests' CPUs.", kDoctorAccelerator)
PYRO_ROWS(DoctorMachine, "DoctorMachine", "A kind of machine on this host.", kDoctorMachine)
PYRO_ROWS(DoctorChoice, "DoctorChoice", "The machine of a guest whose call names none.",
          kDoctorChoice)
PYRO_ROWS(Setting, "Setting", "One setting of the configuration file.", kSetting)
PYRO_ROWS(SettingList, "SettingList", "The configuration file.", kSettingList)
PYRO_ROWS(SettingRequest, "SettingRequest", "A setting.", kSettingRequest)
PYRO_ROWS(SetSettingRequest, "SetSettingRequest", "A setting and its value.", kSetSettingRequest)
PYRO_ROWS(DoctorReport, "DoctorReport", "What works on this host.", kDoctorReport)

}  // namespace pyro::api
