// The documents of --json, compared with testdata/documents.json. PYRO_UPDATE_GOLDEN=1 writes that
// file again. tests/cli/golden has those of env and doctor.

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "base/text.h"
#include "front/cli/testing/cli_fixture.h"
#include "sys/files.h"

namespace pyro::cli {
namespace {

constexpr const char* kDocuments = PYRO_CLI_TESTDATA "/documents.json";

class CliDocumentsTest : public CliFixture {
 protected:
  // Runs it and records the exit code and the document, without what differs from run to run.
  Json Record(const Words& words) {
    const Told told = Pyro(words);
    Words shown;
    for (const std::string& word : words) shown.push_back(Steady(word));
    Json document = told.json();
    EXPECT_FALSE(document.is_null()) << told.out << told.err;
    MakeSteady(document, "");
    documents_.push_back({{"command", "pyro " + ShellJoin(shown)},
                          {"exit_code", told.code},
                          {"document", std::move(document)}});
    return told.json();
  }

  std::string Steady(std::string text) const {
    for (const std::string& prefix : {std::string("task_"), std::string("vm_")}) {
      for (std::size_t at = 0; (at = text.find(prefix, at)) != std::string::npos;) {
        const std::size_t end =
            text.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567", at += prefix.size());
        const std::size_t letters = std::min(end, text.size()) - at;
        if (letters == 26) text.replace(at, letters, "…");
      }
    }
    const std::string directory = directory_.path().native();
    if (const std::size_t at = text.find(directory); at != std::string::npos) {
      text.replace(at, directory.size(), "DIRECTORY");
    }
    if (text.size() == 24 && text[10] == 'T' && text[23] == 'Z') return "TIME";
    return text;
  }

  // `name`: of the member that holds the value.
  void MakeSteady(Json& value, const std::string& name) const {
    if (value.is_array()) {
      for (Json& item : value) MakeSteady(item, name);
    } else if (value.is_object()) {
      for (auto item = value.begin(); item != value.end(); ++item) {
        MakeSteady(item.value(), item.key());
      }
    } else if (value.is_number() && (name.ends_with("_ms") || name == "disk_bytes")) {
      value = 0;
    } else if (value.is_string()) {
      value = name == "kernel" ? "KERNEL" : Steady(value.get<std::string>());
    }
  }

  Json documents_ = Json::array();
};

TEST_F(CliDocumentsTest, EveryDocumentIsAsItWasReviewed) {
  const std::string id =
      Record({"task", "create", "--json", "debian:12"})["task_id"].get<std::string>();
  Record({"task", "exec", "--json", id, "--", "sh", "-c", "echo out; echo err >&2; exit 3"});
  Record({"task", "exec", "--json", "--background", id, "--", "sleep", "600"});
  Record({"task", "stop", "--json", id, "--sequence", "2"});
  Record({"task", "exec", "--json", id, "--", "no-such-program"});
  Record({"task", "status", "--json", id});
  Record({"task", "list", "--json"});
  Record({"task", "logs", "--json", id});
  Record({"task", "logs", "--json", id, "--sequence", "1"});
  Record({"task", "logs", "--json", id, "--sequence", "1", "--follow"});
  Record({"task", "logs", "--json", id, "--sequence", "1", "--limit", "2"});
  Record({"task", "exec", "--json", id, "--", "sh", "-c", "echo content >file"});
  Record({"task", "export", "--json", id, "file", (directory_.path() / "file").native()});
  Record({"task", "stop", "--json", id});
  Record({"task", "delete", "--json", id, "aaaaaaaa"});
  Record({"task", "status", "--json", id});
  Record({"task", "delete", "--json", id});
  Record({"run", "--json", "debian:12", "--", "echo", "out"});
  Record({"run", "--json", "no-such:1", "--", "true"});
  StartWarm();
  Record({"warm", "--json", "debian:12"});
  Record({"warm", "--json"});
  Record({"warm", "--json", "debian:12", "--count", "0"});

  const std::string text = documents_.dump(2) + "\n";
  const char* update = std::getenv("PYRO_UPDATE_GOLDEN");
  if (update != nullptr && std::string_view(update) == "1") {
    ASSERT_TRUE(sys::WriteFileAtomically(kDocuments, text, 0644).ok());
  }
  const auto golden = sys::ReadFile(kDocuments, 1 << 20);
  ASSERT_TRUE(golden.ok());
  EXPECT_EQ(text, *golden) << "PYRO_UPDATE_GOLDEN=1 writes the golden file again";
}

}  // namespace
}  // namespace pyro::cli
