// The rows of environments.

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

constexpr Field kCommitCommand[] = {
    Row<CommitCommand, &CommitCommand::sequence>("sequence", "Its number in the task's journal"),
    Row<CommitCommand, &CommitCommand::command>(
        "command", "Its words as a shell would read them, cut to 1,000 bytes"),
    Row<CommitCommand, &CommitCommand::cwd>("cwd", "Its directory"),
    Row<CommitCommand, &CommitCommand::user>("user", "Its user; null: root").NullIfUnset(),
    Row<CommitCommand, &CommitCommand::outcome>("outcome", "How it ended; null: it was running")
        .NullIfUnset(),
    Row<CommitCommand, &CommitCommand::exit_code>("exit_code", "As a shell would report it"),
    Row<CommitCommand, &CommitCommand::started_at>("started_at", "The time of its start"),
};

constexpr Field kCommitInfo[] = {
    Row<CommitInfo, &CommitInfo::task_id>("task_id", "The task"),
    Row<CommitInfo, &CommitInfo::task_name>("task_name", "Its name then").NullIfUnset(),
    Row<CommitInfo, &CommitInfo::environment>("environment", "What the task was made of"),
    Row<CommitInfo, &CommitInfo::environment_digest>("environment_digest", "The version of that"),
    Row<CommitInfo, &CommitInfo::committed_at>("committed_at", "The time of the commit"),
    Row<CommitInfo, &CommitInfo::workspace>("workspace", "With the content of /workspace"),
    Row<CommitInfo, &CommitInfo::commands>("commands", "The first 500 that ran in the task"),
    Row<CommitInfo, &CommitInfo::more_commands>("more_commands", "How many ran after those"),
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
    Row<EnvironmentDetails, &EnvironmentDetails::commit>(
        "commit", "How it was made of a task; null: it was not"),
};

constexpr Field kCommittedEnvironment[] = {
    Inline<CommittedEnvironment, EnvironmentInfo, &CommittedEnvironment::info>(),
    Row<CommittedEnvironment, &CommittedEnvironment::task_id>("task_id", "The task"),
    Row<CommittedEnvironment, &CommittedEnvironment::left_out>(
        "left_out", "What of the task's files it lacks, one sentence each"),
};

constexpr Field kExportedEnvironment[] = {
    Row<ExportedEnvironment, &ExportedEnvironment::environment>("environment", "Its name"),
    Row<ExportedEnvironment, &ExportedEnvironment::digest>("digest", "Of its version"),
    Row<ExportedEnvironment, &ExportedEnvironment::file>("file", "The archive"),
    Row<ExportedEnvironment, &ExportedEnvironment::bytes>("bytes", "Its size").Of(Unit::kBytes),
    Row<ExportedEnvironment, &ExportedEnvironment::left_out>(
        "left_out", "What of its files the archive lacks, one sentence each"),
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
    Row<PrunedEnvironments, &PrunedEnvironments::skipped>(
        "skipped", "Environments that another pyro is at work on"),
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

constexpr Field kCommitEnvironmentRequest[] = {
    Inline<CommitEnvironmentRequest, TaskRequest>(),
    Row<CommitEnvironmentRequest, &CommitEnvironmentRequest::name>("name",
                                                                   "What to call the environment")
        .Required()
        .Positional("NAME"),
    Row<CommitEnvironmentRequest, &CommitEnvironmentRequest::workspace>(
        "workspace", "Take the content of /workspace, too"),
};

constexpr Field kExportEnvironmentRequest[] = {
    Inline<ExportEnvironmentRequest, EnvironmentRequest>(),
    Row<ExportEnvironmentRequest, &ExportEnvironmentRequest::file>("file",
                                                                   "On this host; - is stdout")
        .Required()
        .Positional("FILE")
        .OnHost(),
    Row<ExportEnvironmentRequest, &ExportEnvironmentRequest::force>(
        "force", "Replace a regular file that is there"),
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

}  // namespace

PYRO_ROWS(EnvironmentInfo, "EnvironmentInfo", "An environment of the catalog, or an image.",
          kEnvironmentInfo)
PYRO_ROWS(EnvironmentList, "EnvironmentList", "The catalog, and images.", kEnvironmentList)
PYRO_ROWS(TemplateInfo, "TemplateInfo", "A frozen guest that new guests start from.", kTemplateInfo)
PYRO_ROWS(ImageInfo, "ImageInfo", "What an image says of itself, and where it came from.",
          kImageInfo)
PYRO_ROWS(CommitCommand, "CommitCommand", "A command of a task that became an environment.",
          kCommitCommand)
PYRO_ROWS(CommitInfo, "CommitInfo", "How an environment was made of a task.", kCommitInfo)
PYRO_ROWS(CommittedEnvironment, "CommittedEnvironment", "An environment that was made of a task.",
          kCommittedEnvironment)
PYRO_ROWS(ExportedEnvironment, "ExportedEnvironment", "An environment in a file.",
          kExportedEnvironment)
PYRO_ROWS(CommitEnvironmentRequest, "CommitEnvironmentRequest", "A task and a name.",
          kCommitEnvironmentRequest)
PYRO_ROWS(ExportEnvironmentRequest, "ExportEnvironmentRequest", "An environment and a file.",
          kExportEnvironmentRequest)
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

}  // namespace pyro::api
