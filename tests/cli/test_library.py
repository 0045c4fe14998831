"""The library as another program's author meets it: installed into a prefix, found by CMake and by pkg-config."""

import os
import re
import shutil
import subprocess

import harness
import pytest

BUILD = harness.BIN.parent
EXAMPLE = harness.ROOT / "examples/library"


def run(*words, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=harness.HANG_SECONDS,
                          **options)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """Everything that `make install` installs."""
    where = tmp_path_factory.mktemp("prefix")
    for component in ("Unspecified", "library", "development"):
        run("cmake", "--install", BUILD, "--prefix", where, "--component", component)
    return where


@pytest.fixture(scope="module")
def flags(prefix):
    environment = dict(os.environ, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig"))
    return run("pkg-config", "--cflags", "--libs", "pyro", env=environment).split()


@pytest.fixture
def ask(prefix, tmp_path):
    """Runs a program that is linked with the library, with a state directory of its own."""
    def asked(program, *words):
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LD_LIBRARY_PATH": str(prefix / "lib"),
                       "PYRO_STATE_DIR": str(tmp_path / "state"), "PYRO_CACHE_DIR": str(harness.CACHE)}
        return run(program, *words, env=environment)
    return asked


@pytest.mark.cost(8)
def test_a_program_finds_the_library_by_cmake_and_runs_a_command(prefix, ask, tmp_path):
    build = tmp_path / "build"
    run("cmake", "-S", EXAMPLE, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", build)
    assert ask(build / "in_a_vm").startswith("pyro " + run(prefix / "bin/pyro", "--version").split()[1] + "\n")
    # With the supervisor and the agent of the same prefix: no variable names them.
    assert ask(build / "in_a_vm", harness.BASE, "echo", "from a guest") == "from a guest\n"


def test_a_program_finds_the_library_by_pkg_config(flags, ask, tmp_path):
    run("c++", "-std=c++20", EXAMPLE / "in_a_vm.cc", *flags, "-o", tmp_path / "in_a_vm")
    assert f"{harness.BASE}: installed\n" in ask(tmp_path / "in_a_vm")


def test_another_minor_version_is_not_taken_for_this_one(prefix, tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "source")
    lists = tmp_path / "source/CMakeLists.txt"
    lists.write_text(lists.read_text().replace("find_package(pyro 2.1 ", "find_package(pyro 2.0 "))
    done = subprocess.run(["cmake", "-S", lists.parent, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}"],
                          capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "2.0" in done.stderr, done


def test_each_installed_header_stands_alone_without_a_library_of_json(prefix, flags, tmp_path):
    headers = sorted((prefix / "include/pyro").glob("*.h"))
    assert "engine.h" in [header.name for header in headers]
    for header in headers:
        source = tmp_path / f"{header.stem}.cc"
        source.write_text(f"#include <pyro/{header.name}>\n#ifdef NLOHMANN_JSON_VERSION_MAJOR\n#error json\n#endif\n")
        run("c++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", source, *flags)


def test_the_library_exports_what_its_headers_declare_and_nothing_else(prefix):
    library = prefix / f"lib/libpyro.so.{run(prefix / 'bin/pyro', '--version').split()[1]}"
    names = [line.split(" ", 2)[2] for line in run("nm", "-D", "--defined-only", "-C", library).splitlines()]
    declared = set()
    for header in (prefix / "include/pyro").glob("*.h"):
        declared |= set(re.findall(r"^(?!inline )[A-Za-z][\w:<>, ]* (\w+)\(", header.read_text(), re.MULTILINE))
    assert {"MakeError", "ServeMcpOnStdio"} <= declared
    visible = {found for name in names for found in re.findall(r"\bpyro::(\w+)[(<\[]", name)}
    assert declared - visible == set()
    assert any(name.startswith("pyro::Engine::DefaultDirectories") for name in names)
    inner = tuple(f"pyro::{folder.name}::" for folder in (harness.ROOT / "src").iterdir())
    assert [name for name in names if "pyro::" not in name or "nlohmann" in name or name.startswith(inner)] == []
