#include "wire/files.h"

#include <gtest/gtest.h>

#include "wire/messages.h"

namespace pyro::wire {
namespace {

FileRequest SomeRequest() {
  FileRequest request;
  request.operation = FileOperation::kList;
  request.path = "a b\n\xff";
  request.limit = 7;
  request.depth = 2;
  return request;
}

TEST(Files, ARequestStandsInAnExecInThePlaceOfWords) {
  Exec exec;
  exec.cwd = "/workspace";
  exec.user = "nobody";
  exec.file = SomeRequest();
  const auto again = Exec::FromFrame(exec.ToFrame(5));
  ASSERT_TRUE(again.ok()) << again.error().message;
  ASSERT_TRUE(again->file);
  EXPECT_EQ(again->file->path, "a b\n\xff");
  EXPECT_EQ(again->file->operation, FileOperation::kList);
  EXPECT_EQ(again->file->limit, 7);
  EXPECT_TRUE(again->argv.empty());
}

TEST(Files, AnEarlierSupervisorFindsNoWordsInSuchAnExec) {
  Exec exec;
  exec.cwd = "/workspace";
  exec.file = SomeRequest();
  const auto body = DecodeObject(exec.ToFrame(5));
  ASSERT_TRUE(body.ok());
  EXPECT_FALSE(body->contains("argv"));
  EXPECT_FALSE(body->contains("user_argv"));
}

TEST(Files, NoJournalKeepsAnOperationOnFiles) {
  Exec exec;
  exec.cwd = "/workspace";
  exec.file = SomeRequest();
  exec.journal = true;
  EXPECT_FALSE(Exec::FromFrame(exec.ToFrame(5)).ok());
}

TEST(Files, APathThatIsNoneIsRefused) {
  for (const std::string& path : {std::string(), std::string("a\0b", 3), std::string(4096, 'x')}) {
    FileRequest request = SomeRequest();
    request.path = path;
    EXPECT_FALSE(FileRequest::FromJson(request.ToJson()).ok()) << path.size();
  }
}

TEST(Files, WhatAPatchDoesToAFileAndWhyItFailedComeOutAsTheyWentIn) {
  FilePatched patched;
  patched.path = "new\n\xff";
  patched.offsets = {{1, 4}, {2, -7}};
  FileEnd end;
  end.error = 5;
  end.code = static_cast<std::int64_t>(ErrorCode::kConflict);
  end.message = "hunk 1 does not apply";
  end.hint = "make it again";
  FileRecords records;
  records.Append(FileRecord(patched) + FileRecord(end));
  const auto first = ReadFilePatched(**records.Next());
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(first->path, "new\n\xff");
  ASSERT_EQ(first->offsets.size(), 2u);
  EXPECT_EQ(first->offsets[1].lines, -7);
  const auto second = ReadFileEnd(**records.Next());
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ(second->code, 18);
  EXPECT_EQ(second->message, "hunk 1 does not apply");
  patched.offsets = {{1, INT64_MIN}};
  FileRecords far;
  far.Append(FileRecord(patched));
  EXPECT_FALSE(ReadFilePatched(**far.Next()).ok());
  patched.offsets.assign(kMaxOffsets + 1, {1, 1});
  FileRecords more;
  more.Append(FileRecord(patched));
  EXPECT_FALSE(ReadFilePatched(**more.Next()).ok());
}

TEST(Files, RecordsComeOutAsTheyWentInHoweverTheyAreCut) {
  FileEntry entry;
  entry.path = "x\xff";
  entry.kind = FileKind::kSymlink;
  entry.modified_ns = -1;
  entry.target = "../y";
  FileEnd end;
  end.error = 28;
  end.path = "/workspace/z";
  end.entry = entry;
  const std::string stream = FileRecord(entry) + FileRecord(end);
  FileRecords records;
  std::vector<Json> taken;
  for (const char byte : stream) {
    records.Append({&byte, 1});
    const auto next = records.Next();
    ASSERT_TRUE(next.ok());
    if (*next) taken.push_back(**next);
  }
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_TRUE(records.empty());
  const auto first = ReadFileEntry(taken[0]);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->path, "x\xff");
  EXPECT_EQ(first->kind, FileKind::kSymlink);
  EXPECT_EQ(first->modified_ns, -1);
  EXPECT_EQ(first->target, "../y");
  const auto second = ReadFileEnd(taken[1]);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->error, 28);
  ASSERT_TRUE(second->entry);
  EXPECT_EQ(second->entry->path, "x\xff");
}

TEST(Files, ARecordThatIsTooLongIsRefusedByItsLengthAlone) {
  FileRecords records;
  records.Append(std::string("\x01\x40\x00\x00", 4));
  EXPECT_FALSE(records.Next().ok());
}

}  // namespace
}  // namespace pyro::wire
