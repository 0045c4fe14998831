// The rows of the disk and the limits of a user.

#include "api/rows.h"
#include "api/shared_rows.h"

namespace pyro::api {
namespace {

constexpr Field kLimitInfo[] = {
    Row<LimitInfo, &LimitInfo::name>("name", "The setting"),
    Row<LimitInfo, &LimitInfo::kind>("kind", "at_most, or at_least of what must be left")
        .OneOf("at_most|at_least"),
    Row<LimitInfo, &LimitInfo::limit>("limit", "In guests, tasks or MiB; null: none").NullIfUnset(),
    Row<LimitInfo, &LimitInfo::now>("now", "What is taken or left, in the same unit"),
    Row<LimitInfo, &LimitInfo::decided_by>("decided_by", "Where the limit comes from")
        .OneOf("default|setting"),
    Row<LimitInfo, &LimitInfo::sentence>("sentence", "What it limits"),
};

constexpr Field kLimitList[] = {
    Row<LimitList, &LimitList::limits>("limits", "All limits"),
};

constexpr Field kDiskUse[] = {
    Row<DiskUse, &DiskUse::kind>("kind", "What the files are"),
    Row<DiskUse, &DiskUse::bytes>("bytes", "What they take on disk").Of(Unit::kBytes),
    Row<DiskUse, &DiskUse::reclaimable_bytes>("reclaimable_bytes",
                                              "What of it 'pyro gc' would free")
        .Of(Unit::kBytes),
};

constexpr Field kTaskSize[] = {
    Row<TaskSize, &TaskSize::task_id>("task_id", "Its id"),
    Row<TaskSize, &TaskSize::name>("name", "Its name").NullIfUnset(),
    Row<TaskSize, &TaskSize::bytes>("bytes", "What it takes on disk; shared blocks count once")
        .Of(Unit::kBytes),
    Row<TaskSize, &TaskSize::disk_bytes>("disk_bytes", "What its disk takes").Of(Unit::kBytes),
    Row<TaskSize, &TaskSize::snapshots_bytes>("snapshots_bytes", "What its snapshots take together")
        .Of(Unit::kBytes),
    Row<TaskSize, &TaskSize::journal_bytes>("journal_bytes", "What its journal takes")
        .Of(Unit::kBytes),
};

constexpr Field kDiskReport[] = {
    Row<DiskReport, &DiskReport::state_directory>("state_directory",
                                                  "The directory of VMs and tasks"),
    Row<DiskReport, &DiskReport::cache_directory>("cache_directory",
                                                  "The directory of environments"),
    Row<DiskReport, &DiskReport::uses>("uses", "The kinds of files"),
    Row<DiskReport, &DiskReport::tasks>("tasks", "The tasks, the largest first"),
    Row<DiskReport, &DiskReport::bytes>("bytes", "What everything takes on disk").Of(Unit::kBytes),
    Row<DiskReport, &DiskReport::reclaimable_bytes>("reclaimable_bytes",
                                                    "What of it 'pyro gc' would free")
        .Of(Unit::kBytes),
    Row<DiskReport, &DiskReport::free_bytes>("free_bytes", "What is free where VMs and tasks are")
        .Of(Unit::kBytes),
    Row<DiskReport, &DiskReport::cache_free_bytes>("cache_free_bytes",
                                                   "What is free where environments are")
        .Of(Unit::kBytes),
    Row<DiskReport, &DiskReport::limits>("limits", "The limits of the disk"),
};

constexpr Field kFreedItem[] = {
    Row<FreedItem, &FreedItem::kind>("kind", "What the files are"),
    Row<FreedItem, &FreedItem::name>("name", "The environment or the directory").NullIfUnset(),
    Row<FreedItem, &FreedItem::what>("what", "Why nothing needs it"),
    Row<FreedItem, &FreedItem::bytes>("bytes", "What it takes on disk").Of(Unit::kBytes),
};

constexpr Field kGarbageReport[] = {
    Row<GarbageReport, &GarbageReport::dry_run>("dry_run", "Nothing was removed"),
    Row<GarbageReport, &GarbageReport::freed>("freed", "What was removed, or would be").Counted(),
    Row<GarbageReport, &GarbageReport::skipped>("skipped",
                                                "Environments that another pyro is at work on"),
    Row<GarbageReport, &GarbageReport::bytes_freed>("bytes_freed",
                                                    "What is free on disk again, or would be")
        .Of(Unit::kBytes),
};

constexpr Field kCollectGarbageRequest[] = {
    Row<CollectGarbageRequest, &CollectGarbageRequest::dry_run>(
        "dry_run", "Remove nothing, and show what would be removed"),
};

}  // namespace

PYRO_ROWS(LimitInfo, "LimitInfo", "A limit of this user.", kLimitInfo)
PYRO_ROWS(LimitList, "LimitList", "The limits of this user.", kLimitList)
PYRO_ROWS(DiskUse, "DiskUse", "What one kind of files takes.", kDiskUse)
PYRO_ROWS(TaskSize, "TaskSize", "What a task takes.", kTaskSize)
PYRO_ROWS(DiskReport, "DiskReport", "Where this user's disk goes.", kDiskReport)
PYRO_ROWS(FreedItem, "FreedItem", "Something that nothing needs.", kFreedItem)
PYRO_ROWS(GarbageReport, "GarbageReport", "What was removed, or would be.", kGarbageReport)
PYRO_ROWS(CollectGarbageRequest, "CollectGarbageRequest", "How to collect garbage.",
          kCollectGarbageRequest)

}  // namespace pyro::api
