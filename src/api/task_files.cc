// Files of a task: the rows of arguments, results and operations.

#include "api/operations.h"
#include "api/rows.h"
#include "api/shared_rows.h"

namespace pyro::api {
namespace {

constexpr const char* kFileKinds =
    "file|directory|symlink|fifo|socket|character_device|block_device";
constexpr const char* kByCommands = "task_exec works on files by commands";

constexpr Field kTaskFile[] = {
    Row<TaskFile, &TaskFile::path>("path", "In the guest; of an entry, from the list's path on"),
    Row<TaskFile, &TaskFile::kind>("kind", "What is there; a link is not followed")
        .OneOf(kFileKinds),
    Row<TaskFile, &TaskFile::bytes>("bytes", "Its size").Of(Unit::kBytes),
    Row<TaskFile, &TaskFile::mode>("mode", "Its permissions as a number, such as 420 for 0644")
        .Of(Unit::kMode),
    Row<TaskFile, &TaskFile::uid>("uid", "The id of its user"),
    Row<TaskFile, &TaskFile::gid>("gid", "The id of its group"),
    Row<TaskFile, &TaskFile::modified_at>("modified_at", "The time of its last change"),
    Row<TaskFile, &TaskFile::target>("target", "Where a symbolic link leads; null: it is none")
        .NullIfUnset(),
};

constexpr Field kTaskFileInfo[] = {
    Inline<TaskFileInfo, TaskFile>(),
    TaskIdRow<TaskFileInfo>(),
    RestartRow<TaskFileInfo>(),
};

template <typename Owner>
constexpr Field GuestPathRow() {
  return Row<Owner, &Owner::path>("path", "The absolute path in the guest");
}

constexpr Field kTaskFileList[] = {
    TaskIdRow<TaskFileList>(),
    GuestPathRow<TaskFileList>(),
    Row<TaskFileList, &TaskFileList::entries>(
        "entries", "By name, a directory before what is in it; links are not followed")
        .Counted(),
    Row<TaskFileList, &TaskFileList::truncated>("truncated", "More entries are there than listed"),
    RestartRow<TaskFileList>(),
};

constexpr Field kTaskFileRead[] = {
    TaskIdRow<TaskFileRead>(),
    GuestPathRow<TaskFileRead>(),
    Row<TaskFileRead, &TaskFileRead::bytes>("bytes", "Bytes that were read").Of(Unit::kBytes),
    Row<TaskFileRead, &TaskFileRead::file_bytes>("file_bytes", "The size of the file")
        .Of(Unit::kBytes),
    RestartRow<TaskFileRead>(),
};

constexpr Field kTaskFilesWritten[] = {
    TaskIdRow<TaskFilesWritten>(),
    GuestPathRow<TaskFilesWritten>(),
    Row<TaskFilesWritten, &TaskFilesWritten::files>("files", "The files that were written"),
    Row<TaskFilesWritten, &TaskFilesWritten::bytes>("bytes", "Their bytes").Of(Unit::kBytes),
    RestartRow<TaskFilesWritten>(),
};

constexpr Field kTaskFilesWatched[] = {
    TaskIdRow<TaskFilesWatched>(),
    GuestPathRow<TaskFilesWatched>(),
    Row<TaskFilesWatched, &TaskFilesWatched::changes>("changes", "The changes that were told"),
    RestartRow<TaskFilesWatched>(),
};

constexpr Field kTaskPathRemoved[] = {
    TaskIdRow<TaskPathRemoved>(),
    GuestPathRow<TaskPathRemoved>(),
    Row<TaskPathRemoved, &TaskPathRemoved::entries>(
        "entries", "What was removed, with what was below it; 0: nothing was there"),
    RestartRow<TaskPathRemoved>(),
};

constexpr Field kPatchOffset[] = {
    Row<PatchOffset, &PatchOffset::hunk>("hunk", "Its number in the file, from 1"),
    Row<PatchOffset, &PatchOffset::lines>("lines", "Lines further down, or below 0 further up"),
};

constexpr Field kPatchedFile[] = {
    Row<PatchedFile, &PatchedFile::path>("path", "From the patch's directory on"),
    Row<PatchedFile, &PatchedFile::old_path>("old_path", "Of a renamed or copied file; else null")
        .NullIfUnset(),
    Row<PatchedFile, &PatchedFile::kind>("kind", "What becomes of it")
        .OneOf("modified|added|removed|renamed|copied"),
    Row<PatchedFile, &PatchedFile::hunks>("hunks", "The changes in it"),
    Row<PatchedFile, &PatchedFile::offsets>(
        "offsets", "Hunks that are at another line than the patch says, the first 100"),
    Row<PatchedFile, &PatchedFile::added_lines>("added_lines", "Lines that it has in addition"),
    Row<PatchedFile, &PatchedFile::removed_lines>("removed_lines", "Lines that it no longer has"),
};

constexpr Field kTaskPatch[] = {
    TaskIdRow<TaskPatch>(),
    Row<TaskPatch, &TaskPatch::path>("path", "The absolute path of the directory in the guest"),
    Row<TaskPatch, &TaskPatch::checked>("checked", "Nothing was changed, as the call wanted it"),
    Row<TaskPatch, &TaskPatch::files>("files", "In the order of the patch").Counted(),
    Row<TaskPatch, &TaskPatch::added_lines>("added_lines", "In all files together"),
    Row<TaskPatch, &TaskPatch::removed_lines>("removed_lines", "In all files together"),
    RestartRow<TaskPatch>(),
    Row<TaskPatch, &TaskPatch::notices>(
        "notices", "What the patch mentions and does not have, one sentence each")
        .OutIfUnset(),
};

constexpr Field kCopiedPath[] = {
    TaskIdRow<CopiedPath>(),
    GuestPathRow<CopiedPath>(),
    Row<CopiedPath, &CopiedPath::host_path>("host_path",
                                            "The absolute path on the host; null: a stream")
        .NullIfUnset(),
    Row<CopiedPath, &CopiedPath::bytes>("bytes", "Of all files together, or of the tar")
        .Of(Unit::kBytes),
    RestartRow<CopiedPath>(),
    Row<CopiedPath, &CopiedPath::notices>("notices", "What was left out, one sentence each")
        .OutIfUnset(),
};

constexpr Field kTaskPathRequest[] = {
    Inline<TaskPathRequest, TaskRequest>(),
    Row<TaskPathRequest, &TaskPathRequest::path>("path",
                                                 "In the guest; relative ones from /workspace")
        .Required()
        .Positional("PATH")
        .ForModels("Relative to /workspace."),
    Row<TaskPathRequest, &TaskPathRequest::user>(
        "user", "Act as USER or USER:GROUP of the guest, names or numbers; else as root")
        .Named("USER"),
};

constexpr Field kReadTaskFileRequest[] = {
    Inline<ReadTaskFileRequest, TaskPathRequest>(),
    Row<ReadTaskFileRequest, &ReadTaskFileRequest::offset>("offset", "Begin at byte N")
        .In(0, std::int64_t{1} << 53)
        .Of(Unit::kBytes)
        .ForModels("next_offset of the page before."),
    Row<ReadTaskFileRequest, &ReadTaskFileRequest::limit>("limit", "Read at most N bytes; 0: all")
        .In(0, std::int64_t{1} << 53)
        .Of(Unit::kBytes),
};

constexpr Field kWriteTaskFileRequest[] = {
    Inline<WriteTaskFileRequest, TaskPathRequest>(),
    Row<WriteTaskFileRequest, &WriteTaskFileRequest::mode>(
        "mode", "Its permissions; 0: as they were, or 0644 for a new file")
        .In(0, 07777)
        .Of(Unit::kMode),
};

constexpr Field kListTaskFilesRequest[] = {
    Inline<ListTaskFilesRequest, TaskPathRequest>(),
    Row<ListTaskFilesRequest, &ListTaskFilesRequest::path>(
        "path", "In the guest; relative ones from /workspace, which is the default")
        .Positional("PATH")
        .ForModels("Relative to /workspace."),
    Row<ListTaskFilesRequest, &ListTaskFilesRequest::depth>(
        "depth", "Go N directories deep; 1: the entries of PATH alone")
        .In(1, kMaxFileDepth),
    Row<ListTaskFilesRequest, &ListTaskFilesRequest::limit>("limit", "List at most N entries")
        .In(1, kMaxListedFiles),
};

constexpr Field kMakeTaskDirectoryRequest[] = {
    Inline<MakeTaskDirectoryRequest, TaskPathRequest>(),
    Row<MakeTaskDirectoryRequest, &MakeTaskDirectoryRequest::parents>(
        "parents", "Make those above it too; one that is there is no error"),
};

constexpr Field kRemoveTaskPathRequest[] = {
    Inline<RemoveTaskPathRequest, TaskPathRequest>(),
    Row<RemoveTaskPathRequest, &RemoveTaskPathRequest::recursive>(
        "recursive", "Remove a directory with what it holds; nothing need be there"),
};

constexpr Field kTaskPathsRequest[] = {
    Inline<TaskPathsRequest, TaskRequest>(),
    Row<TaskPathsRequest, &TaskPathsRequest::path>("path",
                                                   "In the guest; relative ones from /workspace")
        .Required()
        .Positional("PATH"),
    Row<TaskPathsRequest, &TaskPathsRequest::to>("to", "The new path, not a directory to hold it")
        .Required()
        .Positional("TO"),
    Row<TaskPathsRequest, &TaskPathsRequest::replace>("replace", "Replace a file that is there"),
    Row<TaskPathsRequest, &TaskPathsRequest::user>(
        "user", "Act as USER or USER:GROUP of the guest, names or numbers; else as root")
        .Named("USER"),
};

constexpr Field kPatchTaskRequest[] = {
    Inline<PatchTaskRequest, TaskRequest>(),
    Row<PatchTaskRequest, &PatchTaskRequest::directory>(
        "directory", "Apply it below DIR instead of /workspace; relative ones from there")
        .Named("DIR"),
    Row<PatchTaskRequest, &PatchTaskRequest::strip>(
        "strip", "Take N directories, such as a/, from the begin of each name")
        .In(0, kMaxPatchStrip),
    Row<PatchTaskRequest, &PatchTaskRequest::reverse>("reverse", "Undo what the patch did"),
    Row<PatchTaskRequest, &PatchTaskRequest::check>("check",
                                                    "Only tell whether it applies; change nothing"),
};

constexpr Field kWatchTaskFilesRequest[] = {
    Inline<WatchTaskFilesRequest, TaskPathRequest>(),
    Row<WatchTaskFilesRequest, &WatchTaskFilesRequest::depth>(
        "depth", "Watch N directories deep; 1: the entries of PATH alone")
        .In(1, kMaxFileDepth),
};

constexpr Field kCopyIntoTaskRequest[] = {
    Inline<CopyIntoTaskRequest, TaskRequest>(),
    Row<CopyIntoTaskRequest, &CopyIntoTaskRequest::source_path>("source_path", "On this host")
        .Required()
        .Positional("SOURCE")
        .OnHost(),
    Row<CopyIntoTaskRequest, &CopyIntoTaskRequest::path>(
        "path", "In the guest; relative ones from /workspace")
        .Required()
        .Positional("PATH"),
};

constexpr Field kCopyFromTaskRequest[] = {
    Inline<CopyFromTaskRequest, TaskRequest>(),
    Row<CopyFromTaskRequest, &CopyFromTaskRequest::path>(
        "path", "In the guest; relative ones from /workspace")
        .Required()
        .Positional("PATH"),
    Row<CopyFromTaskRequest, &CopyFromTaskRequest::destination>("destination", "On this host")
        .Required()
        .Positional("DEST")
        .OnHost(),
};

Result<CopiedPath> CallCopyFromTask(Engine& engine, const CopyFromTaskRequest& request,
                                    const CallIo& io) {
  return engine.CopyFromTask(request, -1, io);
}

constexpr Operation kTaskFileOperations[] = {
    By<CopyIntoTaskRequest, &Engine::CopyIntoTask, kWhole>({
        .name = "task copy-in",
        .method = "copy_into_task",
        .effect = Effect::kChanges,
        .needs = kGuest | kHostPath,
        .sentence = "Copy a file or directory of this host into a task",
        .for_python =
            "Copies a file or directory of this host into a task, by the rules of ``docker cp``.\n\n"
            "A file goes into a directory that is there, or becomes ``path``. A directory becomes "
            "``path``, or goes into the directory that is there; with ``/.`` at the end of "
            "``source_path`` its content does. Files that are there are replaced. Root owns all "
            "that is copied.",
        .command = "task cp",
        .no_tool = "task_create with source_path fills a workspace",
    }),
    By<CopyFromTaskRequest, CallCopyFromTask, kWhole>({
        .name = "task copy-out",
        .method = "copy_from_task",
        .effect = Effect::kChanges,
        .needs = kGuest | kHostPath,
        .sentence = "Copy a file or directory of a task to this host",
        .for_python =
            "Copies a file or directory of a task to this host, by the rules of copy_into_task. "
            "What the task sends is not trusted: nothing outside of ``destination`` changes, and "
            "no link in it is followed. An open file gets a tar.",
        .command = "task cp",
        .no_tool = "task_export",
    }),
    By<PatchTaskRequest, &Engine::PatchTask, kWhole>({
        .name = "task patch",
        .method = "patch_task",
        .effect = Effect::kChanges,
        .needs = kGuest | kContentIn,
        .sentence = "Apply a unified diff: whole, or not at all",
        .for_python =
            "Applies a unified diff, as ``git diff``, ``diff -u`` and diff_task print it, to files "
            "of the guest: all of it, or nothing.\n\n"
            "``data``: the diff as bytes or text, or an open file. Each hunk has to be in its file "
            "exactly, at any line; ``offsets`` in the result tells those at another line than the "
            "diff says. ``directory``: the files are below it, and nothing else changes. ``strip``: "
            "so many directories, such as ``a/``, are taken from the begin of each name. "
            "``reverse``: undoes what the diff did. ``check``: tells whether it applies, and "
            "changes nothing. ConflictError: a file is not as the diff has it; the message names "
            "the hunk and what is there, and ``path`` the file. InvalidArgumentError: the diff is "
            "malformed, or has a binary file.",
        .no_tool = "task_write_file with patch",
    }),
    By<SyncTaskRequest, &Engine::SyncTask, kWhole>({
        .name = "task sync",
        .method = "sync_task",
        .effect = Effect::kChanges,
        .needs = kGuest | kHostPath,
        .sentence = "Bring changes of a host directory over, or back",
        .for_python =
            "Brings what changed in ``host_path``, a directory of this host, since the last sync "
            "to the task's ``path``; with ``pull`` the other way.\n\n"
            "Content, permissions, symbolic links, empty directories and removals are brought. "
            "What only the other side changed stays. If something changed on both sides then "
            "nothing is brought and ConflictError names it; ``prefer`` is ``host`` or ``task`` "
            "to say which is right. ``dry_run`` tells changes and ``conflicts``. Left alone are "
            ".git and what .gitignore, .git/info/exclude and .dockerignore ignore, unless "
            "``no_ignore``, and what ``exclude`` matches, with patterns as in create_task. "
            "``delete_unknown``: remove also what no sync brought. A task's ``source_path`` "
            "counts as a first sync. What the task sends is not trusted: nothing outside of "
            "``host_path`` changes.",
        .no_tool = "task_export with sync brings changes back",
    }),
    By<ListTaskFilesRequest, &Engine::ListTaskFiles, kWhole>({
        .name = "task files list",
        .method = "list_task_files",
        .effect = Effect::kReads,
        .needs = kGuest,
        .sentence = "Show what a directory of a task holds",
        .example = "pyro task files list $id src --depth 3",
        .for_python =
            "Returns what a directory of the guest holds, by name; symbolic links in it are not "
            "followed. ``depth``: how many directories deep, up to 1000. ``limit``: the most "
            "entries, up to 100000; ``truncated`` says that there are more. A name that is not "
            "UTF-8 has surrogate escapes, as in os.listdir. NotDirectoryError: something else is "
            "there.",
        .no_tool = "task_read_file lists a directory",
    }),
    By<ReadTaskFileRequest, &Engine::ReadTaskFile, kWhole>({
        .name = "task files read",
        .method = "read_task_file",
        .tool = "task_read_file",
        .effect = Effect::kReads,
        .needs = kGuest | kContentOut,
        .sentence = "Print a file of a task",
        .for_models =
            "Read a page of a file, as text or, if it is not UTF-8, base64; or list a directory. Go "
            "on at next_offset until complete.",
        .for_python =
            "Returns the bytes of a regular file of the guest; no journal has an entry of it.\n\n"
            "``path``: relative ones count from /workspace, and links are followed. ``offset`` and "
            "``limit``: a part of it; 0 is no limit. ``into``: an open file that gets the bytes as "
            "they come; then this returns b\"\". ``user``: whose rights count, a name or uid of "
            "the guest, optionally with ``:group``; without it root. Starts a stopped guest. "
            "PathNotFoundError, IsDirectoryError, NotDirectoryError and PathPermissionError are "
            "also Python's own FileNotFoundError, IsADirectoryError, NotADirectoryError and "
            "PermissionError, with ``filename``.",
    }),
    By<WriteTaskFileRequest, &Engine::WriteTaskFile, kWhole>({
        .name = "task files write",
        .method = "write_task_file",
        .tool = "task_write_file",
        .effect = Effect::kChanges,
        .needs = kGuest | kContentIn,
        .sentence = "Write stdin to a file of a task, in place of what it had",
        .for_models =
            "Write a whole file, from text or base64; missing directories are made. Or apply a patch "
            "to files below the directory path, whole or not at all.",
        .for_python =
            "Replaces the content of a file of the guest, and makes the directories that are "
            "missing.\n\n"
            "``data``: the bytes, or an open file that is read to its end. Programs of the guest "
            "see the old content or the new, never a part. When this returns, the file is on "
            "disk. ``mode``: its permissions, such as 0o755; 0 keeps them, and a new file gets "
            "0o644. A symbolic link stays, and what it leads to is written. ``user`` and the "
            "errors are those of read_task_file. NoSpaceError: the task's disk is full.",
    }),
    By<TaskPathRequest, &Engine::WriteTaskFiles, kWhole>({
        .name = "task files write-many",
        .method = "write_task_files",
        .effect = Effect::kChanges,
        .needs = kGuest | kContentIn,
        .sentence = "Write many files of a task in one request",
        .for_python =
            "Writes many files below ``path`` in one request, each as write_task_file does.\n\n"
            "``data``: a dict from paths to their bytes, or to a pair of bytes and mode. Relative "
            "paths count from ``path``. An error names the file that failed; those before it may "
            "be written.",
        .command = "task cp",
        .no_tool = kByCommands,
    }),
    By<TaskPathRequest, &Engine::StatTaskFile, kWhole>({
        .name = "task files stat",
        .method = "stat_task_file",
        .effect = Effect::kReads,
        .needs = kGuest,
        .sentence = "Show what is at a path of a task",
        .example = "pyro task files stat $id src/main.c",
        .for_python =
            "Returns what is at a path of the guest. Of a symbolic link: the link itself. "
            "PathNotFoundError: nothing is there.",
        .no_tool = kByCommands,
    }),
    By<MakeTaskDirectoryRequest, &Engine::MakeTaskDirectory, kWhole>({
        .name = "task files mkdir",
        .method = "make_task_directory",
        .effect = Effect::kChanges,
        .needs = kGuest,
        .sentence = "Make a directory in a task",
        .example = "pyro task files mkdir $id src/new --parents",
        .for_python =
            "Makes a directory in the guest. ``parents``: those above it too, and one that is "
            "there is no error. PathExistsError: something is there.",
        .no_tool = kByCommands,
    }),
    By<RemoveTaskPathRequest, &Engine::RemoveTaskPath, kWhole>({
        .name = "task files remove",
        .method = "remove_task_path",
        .effect = Effect::kEnds,
        .needs = kGuest,
        .sentence = "Remove a file or directory of a task",
        .example = "pyro task files remove $id build --recursive",
        .for_python =
            "Removes a path of the guest. ``recursive``: a directory with what it holds, and "
            "nothing need be there; without it a directory is IsDirectoryError. Links are removed "
            "and never followed.",
        .no_tool = kByCommands,
    }),
    By<TaskPathsRequest, &Engine::MoveTaskPath, kWhole>({
        .name = "task files move",
        .method = "move_task_path",
        .effect = Effect::kChanges,
        .needs = kGuest,
        .sentence = "Give a file or directory of a task another path",
        .example = "pyro task files move $id draft.txt done/final.txt",
        .for_python =
            "Gives a file or directory of the guest another path; directories above ``to`` are "
            "made. ``replace``: a file that is there goes; otherwise, and for a directory, "
            "PathExistsError.",
        .no_tool = kByCommands,
    }),
    By<TaskPathsRequest, &Engine::CopyTaskPath, kWhole>({
        .name = "task files copy",
        .method = "copy_task_path",
        .effect = Effect::kChanges,
        .needs = kGuest,
        .sentence = "Copy a file or directory within a task",
        .example = "pyro task files copy $id src src.orig",
        .for_python =
            "Copies a file or a tree within the guest, with modes, times and links. ``to`` and "
            "``replace`` are those of move_task_path.",
        .no_tool = kByCommands,
    }),
    By<WatchTaskFilesRequest, &Engine::WatchTaskFiles, kWhole>({
        .name = "task files watch",
        .method = "watch_task_files",
        .effect = Effect::kReads,
        .needs = kGuest | kSink,
        .sentence = "Show changes of a directory of a task as they happen",
        .for_python =
            "Tells ``on_stdout`` what happens at a path of the guest and, as deep as ``depth`` "
            "says, below it.\n\n"
            "Each change is a line of JSON with ``change`` (began, created, changed, removed, "
            "lost), ``path`` (from the watched one on) and ``directory``. The first line is that "
            "of ``began``; ``lost`` means that changes came too fast, or were too many to watch. "
            "Returns when the path itself is gone. An exception of the callback ends the call.",
        .no_tool = "a call of a model answers once",
    }),
};

}  // namespace

std::span<const Operation> TaskFileOperations() { return kTaskFileOperations; }

PYRO_ROWS(TaskFile, "TaskFile", "What is at a path of a task.", kTaskFile)
PYRO_ROWS(TaskFileInfo, "TaskFileInfo", "The same by itself.", kTaskFileInfo)
PYRO_ROWS(TaskFileList, "TaskFileList", "What a directory of a task holds.", kTaskFileList)
PYRO_ROWS(TaskFileRead, "TaskFileRead", "What was read of a file.", kTaskFileRead)
PYRO_ROWS(TaskPathRequest, "TaskPathRequest", "A path of a task.", kTaskPathRequest)
PYRO_ROWS(ReadTaskFileRequest, "ReadTaskFileRequest", "A part of a file.", kReadTaskFileRequest)
PYRO_ROWS(WriteTaskFileRequest, "WriteTaskFileRequest", "A file that is written.",
          kWriteTaskFileRequest)
PYRO_ROWS(ListTaskFilesRequest, "ListTaskFilesRequest", "A directory that is listed.",
          kListTaskFilesRequest)

PYRO_ROWS(TaskFilesWritten, "TaskFilesWritten", "What a batch has written.", kTaskFilesWritten)
PYRO_ROWS(TaskFilesWatched, "TaskFilesWatched", "A watch that has ended.", kTaskFilesWatched)
PYRO_ROWS(TaskPathRemoved, "TaskPathRemoved", "What was removed.", kTaskPathRemoved)
PYRO_ROWS(MakeTaskDirectoryRequest, "MakeTaskDirectoryRequest", "A new directory.",
          kMakeTaskDirectoryRequest)
PYRO_ROWS(RemoveTaskPathRequest, "RemoveTaskPathRequest", "A path that is removed.",
          kRemoveTaskPathRequest)
PYRO_ROWS(TaskPathsRequest, "TaskPathsRequest", "A path of a task, and a new one.",
          kTaskPathsRequest)
PYRO_ROWS(WatchTaskFilesRequest, "WatchTaskFilesRequest", "A path that is watched.",
          kWatchTaskFilesRequest)

PYRO_ROWS(PatchOffset, "PatchOffset", "A hunk at another line than a patch says.", kPatchOffset)
PYRO_ROWS(PatchedFile, "PatchedFile", "What a patch does to one file.", kPatchedFile)
PYRO_ROWS(TaskPatch, "TaskPatch", "What a patch does.", kTaskPatch)
PYRO_ROWS(PatchTaskRequest, "PatchTaskRequest", "How a patch is applied.", kPatchTaskRequest)
PYRO_ROWS(CopiedPath, "CopiedPath", "A copy between this host and a task.", kCopiedPath)
PYRO_ROWS(CopyIntoTaskRequest, "CopyIntoTaskRequest",
          "A path of the host, and its place in a task.", kCopyIntoTaskRequest)
PYRO_ROWS(CopyFromTaskRequest, "CopyFromTaskRequest",
          "A path of a task, and its place on the host.", kCopyFromTaskRequest)

}  // namespace pyro::api
