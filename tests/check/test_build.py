"""What a build tells other programs: names that batches can bear, commands for the linter, what is not built yet."""

import json
import os
import re
import shutil
import subprocess
import sys

import harness
import pytest

sys.path.insert(0, str(harness.ROOT / "tools"))
import check_names  # noqa: E402
import lint  # noqa: E402
import plain_commands  # noqa: E402

SOURCE = """
#include "a.h"
#define PYRO_HERE 1
namespace pyro {
namespace {

using Alias = std::map<int, int>;
constexpr std::uint64_t kMost = 1'000'000;
constexpr std::pair<std::string_view, int (*)(const char*)> kTable[] = {{"no {", Nothing}};
const char* const kText = R"(struct Quoted {)";
enum class Kind { kOne, kTwo };
struct Held final : Base {
  int Member() { return 1; }
};
// Commented(out);
template <typename T, int (*call)(T)>
std::map<std::string, std::vector<T>> Generic(const T& value) {
  if (value) Called(value);
  return {};
}
[[nodiscard]] bool
Wrapped(int argument) {
  return argument == 'x';
}
namespace inner {
int deep;
}

}  // namespace

static int Static(int) { return 0; }
int Exported(int argument) { return argument; }
Result<int> Class::Method() { return kMost; }

}  // namespace pyro
"""


def test_names_local_to_a_file_are_found_and_no_others():
    assert check_names.local_names(SOURCE) == {
        "PYRO_HERE", "kMost", "kTable", "kText", "Kind", "Held", "Generic", "Wrapped", "deep", "Static"}


def test_a_name_local_to_two_files_of_a_folder_is_refused(scratch):
    (scratch / "qemu").mkdir()
    (scratch / "a.cc").write_text("namespace {\nint Twice() { return 1; }\nint Once() { return 1; }\n}\n")
    (scratch / "qemu/b.cc").write_text("namespace {\nconstexpr int Twice = 2;\n}\n")
    (scratch / "b_test.cc").write_text("namespace {\nint Once() { return 2; }\n}\n")
    problem, = check_names.problems_in(scratch)
    assert problem.startswith(f"Twice is local to each of {scratch.name}/a.cc, {scratch.name}/qemu/b.cc")


@pytest.mark.parametrize("precompiled", [
    "-Winvalid-pch -include /b/CMakeFiles/pyro_pch.dir/cmake_pch.hxx",
    "-Winvalid-pch -include-pch /b/CMakeFiles/pyro_pch.dir/cmake_pch.hxx.pch"])
def test_compile_commands_name_each_source_without_batches_and_precompiled_headers(scratch, precompiled):
    (scratch / "batches").mkdir()
    batch = scratch / "batches/sys_0.cc"
    batch.write_text('#include "sys/a.cc"\n#include "sys/b.cc"\n')
    command = f"c++ -DX=1 -iquote /src -Wno-restrict {precompiled} -o x.o -c"
    entries = [{"directory": "/b", "file": str(batch), "command": f"{command} {batch}"},
               {"directory": "/b", "file": "/b/CMakeFiles/pyro_pch.dir/cmake_pch.hxx.cxx", "command": "c++"},
               {"directory": "/b", "file": "/src/sys/b.cc", "command": f"{command} /src/sys/b.cc"},
               {"directory": "/b", "file": "/src/apps/c.cc", "command": f"{command} /src/apps/c.cc"}]
    found = plain_commands.plain(entries, scratch)
    assert [entry["file"] for entry in found] == ["/src/sys/a.cc", "/src/sys/b.cc", "/src/apps/c.cc"]
    for entry in found:
        assert entry["command"].split() == ["c++", "-DX=1", "-iquote", "/src", "-o", "x.o", "-c", entry["file"]]
    assert plain_commands.plain(found, scratch) == found, "a second pass changes nothing"


def test_a_precompiled_header_has_the_same_checksum_in_each_clone_until_its_text_differs(scratch):
    def checksum(clone, text):
        (scratch / clone / "include").mkdir(parents=True)
        (scratch / clone / "include/outside.h").write_text(text)
        header = scratch / clone / "pch.h"
        header.write_text("#pragma once\n#include <outside.h>\n")
        (scratch / clone / "pch.h.cxx").write_text("")
        made = scratch / clone / "pch.h.gch"
        subprocess.run([harness.ROOT / "tools/precompile.sh", "g++", f"-I{scratch / clone}/include", "-x", "c++-header", "-include", header,
                        "-MD", "-MT", made, "-MF", f"{made}.d", "-o", made, "-c", f"{header}.cxx"], check=True)
        assert made.stat().st_size > 0
        return (scratch / clone / "pch.h.gch.sum").read_text()

    first = checksum("first", "inline int One() { return 1; }\n")
    assert checksum("second", "inline int One() { return 1; }\n") == first
    assert checksum("third", "inline int One() { return 2; }\n") != first


def packages_for(*words):
    """What tools/list_packages.sh prints: the packages of sections, for this host or after `-r` for another release."""
    return subprocess.run([harness.ROOT / "tools/list_packages.sh", *words], capture_output=True, text=True, check=True, timeout=60).stdout.split()


@pytest.fixture
def linter(scratch, monkeypatch):
    """A tree with one source and one header, and what makes a linter for it as a new process would."""
    if lint.TIDY not in packages_for("check"):
        pytest.skip(f"this release has no {lint.TIDY}, so `make` leaves the linter out")
    monkeypatch.setattr(lint, "ROOT", scratch)
    shutil.copy(harness.ROOT / ".clang-tidy", scratch)
    (scratch / "src").mkdir()
    (scratch / "src/a.h").write_text("#pragma once\ninline int One() { return 1; }\n")
    (scratch / "src/a.cc").write_text('#include "a.h"\nint Two() { return One() + 1; }\n')

    def make(build="build", flags=""):
        lint.digest.cache_clear()
        (scratch / build).mkdir(exist_ok=True)
        source = str(scratch / "src/a.cc")
        command = f"c++ {flags} -o a.o -c {source}"
        (scratch / build / "compile_commands.json").write_text(
            json.dumps([{"directory": str(scratch / build), "file": source, "command": command}]))
        return lint.Linter(scratch / build, scratch / "cache"), scratch / "src/a.cc"
    return make


def test_a_clean_source_is_linted_once_for_all_builds(linter):
    first, source = linter()
    assert not first.was_clean(source)
    assert first.lint(source) is None
    assert linter("other")[0].was_clean(source)


@pytest.mark.parametrize("file, text", [
    ("src/a.cc", '#include "a.h"\nint Two() { return One() + 1; }  // NOLINT\n'),
    ("src/a.h", "#pragma once\n// One.\ninline int One() { return 1; }\n"),
    (".clang-tidy", "Checks: '-*,modernize-use-nullptr'\n")])
def test_a_change_of_what_a_finding_depends_on_is_linted_again(linter, scratch, file, text):
    first, source = linter()
    assert first.lint(source) is None
    (scratch / file).write_text(text)
    assert not linter()[0].was_clean(source)


def test_other_flags_are_linted_again(linter):
    first, source = linter()
    assert first.lint(source) is None
    assert not linter(flags="-DOTHER")[0].was_clean(source)


def test_a_source_with_a_problem_is_linted_until_it_has_none(linter):
    first, source = linter()
    source.write_text('#include "a.h"\nint* Two() { return 0; }\n')
    assert "modernize-use-nullptr" in first.lint(source)
    assert not linter()[0].was_clean(source)


def test_the_package_says_how_to_build_the_module_that_it_lacks(scratch):
    shutil.copytree(harness.ROOT / "python/pyro_mcp", scratch / "pyro_mcp")
    done = subprocess.run(["/usr/bin/python3", "-B", "-c", "import pyro_mcp"], env={"PYTHONPATH": str(scratch)},
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: pyro_mcp has no compiled module for Python 3.")
    assert "make python" in last and "PYTHONPATH" in last and "circular" not in done.stderr


def test_the_demo_says_beforehand_how_long_it_takes_unless_it_is_built(scratch):
    def say(jobs):
        return subprocess.run([harness.ROOT / "tools/how_long.sh", scratch, jobs], env={"PATH": os.environ["PATH"]},
                              capture_output=True, text=True, check=True).stdout
    minutes = [int(say(jobs).split("about ")[1].split()[0]) for jobs in ("1", "2", "16")]
    assert minutes[0] > minutes[1] > minutes[2] >= 3
    (scratch / "bin").mkdir()
    shutil.copy("/bin/true", scratch / "bin/pyro")
    assert say("2") == ""


def test_a_source_distribution_has_the_tools_that_its_build_runs():
    """Which test environments there are is asked by tests alone, and a source distribution has none."""
    texts = [path.read_text() for path in (harness.ROOT / "CMakeLists.txt", *(harness.ROOT / "cmake").glob("*.cmake"))]
    named = set(re.findall(r"\$\{CMAKE_SOURCE_DIR\}/(tools/\w+\.\w+)", "".join(texts))) - {"tools/pull_test_environments.sh"}
    assert "tools/precompile.sh" in named
    assert named <= set((harness.ROOT / "MANIFEST.in").read_text().split())


def test_packages_have_the_names_of_the_release_and_an_unknown_one_gets_those_of_the_newest():
    bookworm, trixie = (packages_for("-r", release, "build", "check") for release in ("bookworm", "trixie"))
    assert {"libboost1.81-dev", "clang-format-14", "libgtest-dev", "g++"} <= set(bookworm)
    assert {"libboost1.83-dev", "libclang-rt-dev", "libgtest-dev", "g++"} <= set(trixie)
    assert not {"libboost1.81-dev", "clang-format-14", "clang-tidy-14"} & set(trixie)
    assert packages_for("-r", "of-tomorrow", "build", "check") == trixie
    assert packages_for("-r", "trixie", "run") == packages_for("-r", "bookworm", "run")
    assert all(packages_for("-r", "bookworm", section) for section in ("usermode", "run", "bench", "dist", "held"))
