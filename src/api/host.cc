// The rows of environments and of this host.

#include "api/operations.h"
#include "api/rows.h"
#include "api/shared_rows.h"

namespace pyro::api {
namespace {

constexpr Field kEnvironmentInfo[] = {
    Row<EnvironmentInfo, &EnvironmentInfo::name>("name", "Its name, such as debian:12"),
    Row<EnvironmentInfo, &EnvironmentInfo::description>("description", "What it holds"),
    Row<EnvironmentInfo, &EnvironmentInfo::installed>("installed", "It is built and installed"),
    Row<EnvironmentInfo, &EnvironmentInfo::broken>("broken",
                                                   "Installed, but damaged: pull repairs it"),
    Row<EnvironmentInfo, &EnvironmentInfo::outdated>(
        "outdated", "Installed by an older recipe, and usable: pull builds it again"),
    Row<EnvironmentInfo, &EnvironmentInfo::digest>("digest", "Of its content, if it is installed")
        .NullIfUnset(),
    Row<EnvironmentInfo, &EnvironmentInfo::installed_at>("installed_at",
                                                         "The time of its installation")
        .NullIfUnset(),
    Row<EnvironmentInfo, &EnvironmentInfo::size_bytes>("size_bytes", "What it takes on disk")
        .Of(Unit::kBytes),
    Row<EnvironmentInfo, &EnvironmentInfo::last_used_at>("last_used_at",
                                                         "The time when a guest last started of it")
        .NullIfUnset(),
    Row<EnvironmentInfo, &EnvironmentInfo::source>(
        "source", "Where the image was pulled from; null: it is built here")
        .NullIfUnset(),
    Row<EnvironmentInfo, &EnvironmentInfo::image_digest>("image_digest",
                                                         "The image's digest at its source")
        .NullIfUnset(),
};

constexpr Field kEnvironmentList[] = {
    Row<EnvironmentList, &EnvironmentList::catalog_version>("catalog_version",
                                                            "The version of the catalog"),
    Row<EnvironmentList, &EnvironmentList::environments>("environments",
                                                         "The catalog, then installed images"),
};

constexpr Field kTemplateInfo[] = {
    Row<TemplateInfo, &TemplateInfo::vcpu_count>("vcpu_count", "The CPUs of its guests"),
    Row<TemplateInfo, &TemplateInfo::mem_mib>("mem_mib", "The memory of its guests").Of(Unit::kMib),
    Row<TemplateInfo, &TemplateInfo::network>("network", "Its guests can reach the outside"),
    Row<TemplateInfo, &TemplateInfo::new_disk>(
        "new_disk", "For new guests; else for tasks that start again and other sizes of disks"),
    Row<TemplateInfo, &TemplateInfo::size_bytes>("size_bytes", "What it takes on disk")
        .Of(Unit::kBytes),
    Row<TemplateInfo, &TemplateInfo::made_at>("made_at", "The time of its making"),
    Row<TemplateInfo, &TemplateInfo::last_used_at>("last_used_at", "The time of its last use"),
};

template <auto kMember>
constexpr Field OfImage(const char* name, const char* sentence) {
  return Row<ImageInfo, kMember>(name, sentence).NullIfUnset();
}

constexpr Field kImageInfo[] = {
    Row<ImageInfo, &ImageInfo::source>("source", "Where it was pulled from"),
    Row<ImageInfo, &ImageInfo::source_digest>("source_digest",
                                              "Its digest there; of an index that of the index"),
    Row<ImageInfo, &ImageInfo::manifest_digest>("manifest_digest",
                                                "Of this platform's image, as it was stored here"),
    Row<ImageInfo, &ImageInfo::layers>("layers", "The digests of its layers, the lowest first"),
    Row<ImageInfo, &ImageInfo::layer_bytes>("layer_bytes", "The size of its layers, compressed")
        .Of(Unit::kBytes),
    Row<ImageInfo, &ImageInfo::architecture>("architecture", "Such as amd64"),
    Row<ImageInfo, &ImageInfo::env>("env", "NAME=VALUE of each variable for its commands"),
    OfImage<&ImageInfo::working_dir>("working_dir", "The directory of its commands; null: /"),
    OfImage<&ImageInfo::user>("user", "The user of its commands; null: root"),
    Row<ImageInfo, &ImageInfo::entrypoint>("entrypoint", "The first words of its own command"),
    Row<ImageInfo, &ImageInfo::command>("command", "The words after those"),
    OfImage<&ImageInfo::stop_signal>("stop_signal", "What its commands get before a guest ends"),
    Row<ImageInfo, &ImageInfo::left_out>("left_out", "What of it guests lack, one sentence each"),
};

constexpr Field kEnvironmentDetails[] = {
    Inline<EnvironmentDetails, EnvironmentInfo, &EnvironmentDetails::info>(),
    Row<EnvironmentDetails, &EnvironmentDetails::catalog_version>("catalog_version",
                                                                  "The version of the catalog"),
    Row<EnvironmentDetails, &EnvironmentDetails::kernel_release>("kernel_release",
                                                                 "Its kernel's release"),
    Row<EnvironmentDetails, &EnvironmentDetails::kernel_package>("kernel_package",
                                                                 "Its kernel's package"),
    Row<EnvironmentDetails, &EnvironmentDetails::directory>("directory", "Its directory"),
    Row<EnvironmentDetails, &EnvironmentDetails::files>("files", "NAME SIZE SHA256 of each file"),
    Row<EnvironmentDetails, &EnvironmentDetails::modules>("modules", "Kernel modules"),
    Row<EnvironmentDetails, &EnvironmentDetails::packages>("packages",
                                                           "NAME VERSION of each package"),
    Row<EnvironmentDetails, &EnvironmentDetails::apt_sources>("apt_sources",
                                                              "Where the packages came from"),
    Row<EnvironmentDetails, &EnvironmentDetails::tools>(
        "tools", "NAME VERSION of each program that built it"),
    Row<EnvironmentDetails, &EnvironmentDetails::templates>(
        "templates", "Frozen guests that new guests start from"),
    Row<EnvironmentDetails, &EnvironmentDetails::image>(
        "image", "What the image says of itself; null: it is none"),
};

constexpr Field kPulledEnvironment[] = {
    Inline<PulledEnvironment, EnvironmentInfo, &PulledEnvironment::info>(),
    Row<PulledEnvironment, &PulledEnvironment::built>("built", "False: it was installed already"),
    Row<PulledEnvironment, &PulledEnvironment::left_out>(
        "left_out", "What of an image guests lack, one sentence each"),
};

constexpr Field kRemovedEnvironment[] = {
    Row<RemovedEnvironment, &RemovedEnvironment::environment>("environment", "Its name"),
    Row<RemovedEnvironment, &RemovedEnvironment::bytes_freed>("bytes_freed",
                                                              "What is free on disk again")
        .Of(Unit::kBytes),
};

using Pruned = PrunedEnvironments::Item;

constexpr Field kPrunedItem[] = {
    Row<Pruned, &Pruned::environment>("environment", "Its environment"),
    Row<Pruned, &Pruned::what>("what", "Why it was removed"),
    Row<Pruned, &Pruned::digest>("digest", "Of its content").NullIfUnset(),
    Row<Pruned, &Pruned::bytes>("bytes", "What it took on disk").Of(Unit::kBytes),
};

constexpr Field kPrunedEnvironments[] = {
    Row<PrunedEnvironments, &PrunedEnvironments::removed>("removed", "What was removed").Counted(),
    Row<PrunedEnvironments, &PrunedEnvironments::skipped>("skipped",
                                                          "Environments that are being pulled"),
    Row<PrunedEnvironments, &PrunedEnvironments::bytes_freed>("bytes_freed",
                                                              "What is free on disk again")
        .Of(Unit::kBytes),
};

constexpr Field kEnvironmentRequest[] = {
    Row<EnvironmentRequest, &EnvironmentRequest::environment>("environment", "Such as debian:12")
        .Required()
        .Positional("ENVIRONMENT")
        .ForModels("From vm_list_environments."),
};

constexpr Field kPullEnvironmentRequest[] = {
    Row<PullEnvironmentRequest, &PullEnvironmentRequest::environment>(
        "environment", "One of the catalog, or an image: see 'pyro env pull --help'")
        .Required()
        .Positional("ENVIRONMENT"),
    Row<PullEnvironmentRequest, &PullEnvironmentRequest::name>(
        "name", "Install an image under this name instead of its own")
        .Named("NAME"),
    Row<PullEnvironmentRequest, &PullEnvironmentRequest::authfile>(
        "authfile", "Log in to the registry with this file of 'podman login' or 'skopeo login'")
        .Named("FILE")
        .OnHost(),
    Row<PullEnvironmentRequest, &PullEnvironmentRequest::plain_http>(
        "plain_http", "Speak to the registry without TLS: anyone on the way can change the image"),
};

constexpr Field kTagEnvironmentRequest[] = {
    Row<TagEnvironmentRequest, &TagEnvironmentRequest::environment>("environment",
                                                                    "An installed image")
        .Required()
        .Positional("ENVIRONMENT"),
    Row<TagEnvironmentRequest, &TagEnvironmentRequest::name>("name", "Its other name")
        .Required()
        .Positional("NAME"),
};

constexpr Field kInspectEnvironmentRequest[] = {
    Inline<InspectEnvironmentRequest, EnvironmentRequest>(),
    Row<InspectEnvironmentRequest, &InspectEnvironmentRequest::verify>(
        "verify", "Read every file and compare its digest")
        .ForModels("Compare the digest of every file."),
};

constexpr Field kPruneEnvironmentsRequest[] = {
    Row<PruneEnvironmentsRequest, &PruneEnvironmentsRequest::all>(
        "all", "Remove installed ones too, except those that a VM needs")
        .ForModels("Also installed ones that no VM or task needs."),
};

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
PYRO_ROWS(EnvironmentInfo, "EnvironmentInfo", "An environment of the catalog, or an image.",
          kEnvironmentInfo)
PYRO_ROWS(EnvironmentList, "EnvironmentList", "The catalog, and images.", kEnvironmentList)
PYRO_ROWS(TemplateInfo, "TemplateInfo", "A frozen guest that new guests start from.", kTemplateInfo)
PYRO_ROWS(ImageInfo, "ImageInfo", "What an image says of itself, and where it came from.",
          kImageInfo)
PYRO_ROWS(EnvironmentDetails, "EnvironmentDetails", "The content of an installed environment.",
          kEnvironmentDetails)
PYRO_ROWS(PulledEnvironment, "PulledEnvironment", "An environment that is installed now.",
          kPulledEnvironment)
PYRO_ROWS(RemovedEnvironment, "RemovedEnvironment", "An environment that was removed.",
          kRemovedEnvironment)
PYRO_ROWS(PrunedEnvironments::Item, "PrunedItem", "A version that was removed.", kPrunedItem)
PYRO_ROWS(PrunedEnvironments, "PrunedEnvironments", "What was removed.", kPrunedEnvironments)
PYRO_ROWS(EnvironmentRequest, "EnvironmentRequest", "An environment.", kEnvironmentRequest)
PYRO_ROWS(PullEnvironmentRequest, "PullEnvironmentRequest", "What to install.",
          kPullEnvironmentRequest)
PYRO_ROWS(TagEnvironmentRequest, "TagEnvironmentRequest", "An image and its other name.",
          kTagEnvironmentRequest)
PYRO_ROWS(InspectEnvironmentRequest, "InspectEnvironmentRequest", "An environment.",
          kInspectEnvironmentRequest)
PYRO_ROWS(PruneEnvironmentsRequest, "PruneEnvironmentsRequest", "What to remove.",
          kPruneEnvironmentsRequest)
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
