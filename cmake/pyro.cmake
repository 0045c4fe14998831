# One library per folder of src/, with its floor's dependencies spelled out; one test program per *_test.cc.

add_library(pyro_options INTERFACE)
target_compile_options(pyro_options INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
                       -Wno-missing-field-initializers)
if(PYRO_WERROR)
  target_compile_options(pyro_options INTERFACE -Werror)
endif()
# GCC 12's optimiser believes these of std::string's own code, as soon as it inlines enough of it.
target_compile_options(pyro_options INTERFACE
  $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-restrict;-Wno-stringop-overflow>)
# Quoted includes only: <sys/random.h> must stay the system's although src/sys has a file of that name.
target_compile_options(pyro_options INTERFACE "SHELL:-iquote ${CMAKE_SOURCE_DIR}/src")
target_include_directories(pyro_options INTERFACE ${CMAKE_SOURCE_DIR}/include ${CMAKE_BINARY_DIR}/generated)

# Sections that nothing refers to stay out of the programs.
target_compile_options(pyro_options INTERFACE -ffunction-sections -fdata-sections)
target_link_options(pyro_options INTERFACE -Wl,--gc-sections)

add_library(pyro_sanitize INTERFACE)
if(PYRO_SANITIZE)
  target_compile_options(pyro_sanitize INTERFACE -fsanitize=${PYRO_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(pyro_sanitize INTERFACE -fsanitize=${PYRO_SANITIZE})
endif()
# Asio's fences, which ThreadSanitizer does not see: gcc warns of each. And among its calls gcc 12 takes the content of a
# std::optional that has none for one that is read.
if(PYRO_SANITIZE STREQUAL "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(pyro_sanitize INTERFACE -Wno-tsan -Wno-maybe-uninitialized)
endif()
if(PYRO_FUZZ)
  target_compile_options(pyro_sanitize INTERFACE -fsanitize=fuzzer-no-link)
endif()

# gcov tells which lines ran, of the folders named here: tools/coverage.py.
set(PYRO_COVERAGE "" CACHE STRING "Folders of src to count the lines of that run, such as engine;cli (gcc only)")
if(PYRO_COVERAGE)
  target_link_options(pyro_options INTERFACE --coverage)
endif()

# fmt as each program links it: the agent is static, and Debian has no static fmt, so fmt's own sources are compiled once.
add_library(pyro_fmt_static STATIC ${CMAKE_SOURCE_DIR}/cmake/fmt_static.cc)
target_compile_options(pyro_fmt_static PRIVATE -ffunction-sections -fdata-sections)
target_include_directories(pyro_fmt_static PUBLIC $<TARGET_PROPERTY:fmt::fmt,INTERFACE_INCLUDE_DIRECTORIES>)
target_compile_features(pyro_fmt_static PUBLIC cxx_std_20)
add_library(pyro_fmt INTERFACE)
target_link_libraries(pyro_fmt INTERFACE "$<IF:$<BOOL:$<TARGET_PROPERTY:PYRO_STATIC>>,pyro_fmt_static,fmt::fmt>")

# Other libraries from outside, as each program links them: pyro and its supervisor hold what they use of them, so that a
# start loads the C library alone. Everything else links the shared ones, as does each program if an archive is missing.
# docs/design/static-libraries.md
option(PYRO_STATIC_LIBRARIES "Link outside libraries into pyro, pyro-supervisor and pyro-proxy" ON)

# pyro_outside(sqlite SHARED SQLite::SQLite3 ARCHIVES sqlite3): makes pyro_sqlite. An archive stands before those it uses.
function(pyro_outside name)
  cmake_parse_arguments(arg "" "SHARED" "ARCHIVES" ${ARGN})
  add_library(pyro_${name} INTERFACE)
  set(files "")
  set(missing "")
  foreach(archive ${arg_ARCHIVES})
    find_library(PYRO_ARCHIVE_${archive} lib${archive}.a)
    if(PYRO_ARCHIVE_${archive})
      list(APPEND files ${PYRO_ARCHIVE_${archive}})
    else()
      list(APPEND missing lib${archive}.a)
    endif()
  endforeach()
  if(PYRO_STATIC_LIBRARIES AND missing)
    message(STATUS "Programs load lib${name} at their start: there is no ${missing}")
    set_property(GLOBAL PROPERTY PYRO_ARCHIVES_ARE_MISSING ON)
  endif()
  if(NOT PYRO_STATIC_LIBRARIES OR PYRO_SANITIZE OR missing)
    target_link_libraries(pyro_${name} INTERFACE ${arg_SHARED})
  else()
    add_library(pyro_${name}_static INTERFACE)
    target_link_libraries(pyro_${name}_static INTERFACE ${files})
    target_link_libraries(pyro_${name} INTERFACE
      "$<IF:$<BOOL:$<TARGET_PROPERTY:PYRO_STATIC>>,pyro_${name}_static,${arg_SHARED}>")
  endif()
endfunction()
pyro_outside(sqlite SHARED SQLite::SQLite3 ARCHIVES sqlite3)
pyro_outside(zlib SHARED ZLIB::ZLIB ARCHIVES z)
pyro_outside(libarchive SHARED LibArchive::LibArchive ARCHIVES archive z bz2 lzma zstd lz4)
# From version 3.5 on, as in Debian 13, libcrypto uses zlib.
pyro_outside(crypto SHARED OpenSSL::Crypto ARCHIVES crypto z)
pyro_outside(ssl SHARED OpenSSL::SSL ARCHIVES ssl crypto z)

# The loader reads 20 KiB instead of 700 to relocate pyro.
include(CheckLinkerFlag)
check_linker_flag(CXX -Wl,-z,pack-relative-relocs PYRO_CAN_PACK_RELOCATIONS)
set(pyro_packed_relocations $<$<BOOL:${PYRO_CAN_PACK_RELOCATIONS}>:-Wl,-z,pack-relative-relocs>)

# pyro_static(pyro): the program links archives where there are any.
function(pyro_static program)
  if(PYRO_STATIC_LIBRARIES AND NOT PYRO_SANITIZE)
    set_target_properties(${program} PROPERTIES PYRO_STATIC ON)
    target_link_options(${program} PRIVATE -static-libstdc++ -static-libgcc ${pyro_packed_relocations})
  endif()
endfunction()

# What nearly every source includes, parsed once. Headers of libraries only: one of pyro's own would rebuild everything
# whenever it changes. A source still includes what it uses: the linter sees it without these.
set(PYRO_PRECOMPILED
  <algorithm> <array> <atomic> <cerrno> <charconv> <chrono> <condition_variable> <cstddef> <cstdint>
  <cstdlib> <cstring> <deque> <filesystem> <fstream> <functional> <map> <memory> <mutex> <optional>
  <set> <span> <string> <string_view> <system_error> <thread> <utility> <variant> <vector>
  <fmt/format.h> <nlohmann/json.hpp> <tl/expected.hpp>)

# pyro_precompiled(pyro_pch ON HEADERS <string> DEPS fmt::fmt): a precompiled header for targets that are position
# independent, as libraries are, or not, as programs are.
function(pyro_precompiled name position_independent)
  cmake_parse_arguments(arg "" "" "HEADERS;DEPS" ${ARGN})
  if(PYRO_PCH)
    add_library(${name} OBJECT ${CMAKE_SOURCE_DIR}/cmake/pch.cc)
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ${position_independent})
    if(CCACHE)
      set_target_properties(${name} PROPERTIES CXX_COMPILER_LAUNCHER ${CMAKE_SOURCE_DIR}/tools/precompile.sh)
    endif()
    target_link_libraries(${name} PRIVATE pyro_options pyro_sanitize ${arg_DEPS})
    target_precompile_headers(${name} PRIVATE ${arg_HEADERS})
  endif()
endfunction()
pyro_precompiled(pyro_pch ON HEADERS ${PYRO_PRECOMPILED} DEPS fmt::fmt nlohmann_json::nlohmann_json tl::expected)
if(PYRO_TESTS)
  pyro_precompiled(pyro_test_pch OFF HEADERS ${PYRO_PRECOMPILED} <gtest/gtest.h>
    DEPS fmt::fmt nlohmann_json::nlohmann_json tl::expected GTest::gtest)
  add_library(pyro_test_main OBJECT ${CMAKE_SOURCE_DIR}/cmake/test_main.cc)
  target_link_libraries(pyro_test_main PRIVATE pyro_options pyro_sanitize PUBLIC GTest::gtest)
endif()

# pyro_use_precompiled(target pyro_pch)
function(pyro_use_precompiled target header)
  if(PYRO_PCH)
    target_precompile_headers(${target} REUSE_FROM ${header})
  endif()
endfunction()

# What the agent's libraries end in.
set(PYRO_GUEST_SUFFIX "")
if(PYRO_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(PYRO_GUEST_SUFFIX _guest)
endif()

# pyro_batches(sources engine 8 a.cc b.cc): `sources` becomes files that each include up to eight of the named ones. A source
# with flags of its own stays alone. The files hold no absolute path, so that ccache serves every clone.
function(pyro_batches out name size)
  set(result "")
  set(batch "")
  set(number 0)
  file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
  foreach(source ${ARGN} "")
    if(source MATCHES "^[^/].*\\.cc$")
      get_source_file_property(flags ${source} COMPILE_OPTIONS)
      if(NOT flags)
        list(APPEND batch ${folder}/${source})
      else()
        list(APPEND result ${source})
      endif()
    elseif(source)
      list(APPEND result ${source})
    endif()
    list(LENGTH batch length)
    if(length EQUAL size OR (NOT source AND batch))
      list(TRANSFORM batch REPLACE "(.+)" "#include \"\\1\"\n")
      list(JOIN batch "" content)
      set(file ${CMAKE_BINARY_DIR}/batches/${name}_${number}.cc)
      file(GENERATE OUTPUT ${file} CONTENT "${content}")
      list(APPEND result ${file})
      set(batch "")
      math(EXPR number "${number} + 1")
    endif()
  endforeach()
  set(${out} ${result} PARENT_SCOPE)
endfunction()

# pyro_library(base SOURCES a.cc DEPS pyro_fmt): makes pyro_base. BATCH is how many sources are compiled as one; see
# docs/design/0010-build-time.md. What a host program links, the Python module links too.
# COLD: nothing in it is worth the time that the second level of optimisation takes to compile.
# GUEST: the static agent links it too. With sanitizers, which no static program can have, and without optimisation, which
# a guest on an emulated CPU needs, pyro_base_guest is the same sources once more for the agent.
function(pyro_library name)
  cmake_parse_arguments(arg "COLD;GUEST" "BATCH" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  if(NOT arg_BATCH)
    set(arg_BATCH 8)
  endif()
  set(sources ${arg_SOURCES})
  if(PYRO_UNITY)
    pyro_batches(sources ${name} ${arg_BATCH} ${arg_SOURCES})
  endif()
  add_library(pyro_${name} STATIC ${sources})
  set_target_properties(pyro_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(pyro_${name} PUBLIC pyro_options pyro_sanitize ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS})
  if(name IN_LIST PYRO_COVERAGE)
    target_compile_options(pyro_${name} PRIVATE --coverage)
  else()
    pyro_use_precompiled(pyro_${name} pyro_pch)
  endif()
  if(arg_COLD)
    target_compile_options(pyro_${name} PRIVATE $<$<NOT:$<CONFIG:Debug>>:-O1>)
    # GCC 13 and later refuse a precompiled header that differs in these, which are parts of -O2.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
      target_compile_options(pyro_${name} PRIVATE $<$<NOT:$<CONFIG:Debug>>:-munroll-only-small-loops;-mvzeroupper>)
    endif()
  endif()
  # The library runs in threads of its callers, whose stacks may be small. Frames are as they are shipped only in
  # optimized builds without sanitizers.
  if(NOT PYRO_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(pyro_${name} PRIVATE -Wframe-larger-than=16384)
  endif()
  # Links the whole library with what it declares and nothing else: a call to a higher floor does not link.
  if(PYRO_TESTS AND NOT PYRO_SANITIZE)
    add_executable(link_check_${name} ${CMAKE_SOURCE_DIR}/cmake/link_check.cc)
    target_link_libraries(link_check_${name} PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,pyro_${name}>)
    set_target_properties(link_check_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  endif()
  if(arg_GUEST AND PYRO_GUEST_SUFFIX)
    list(TRANSFORM arg_DEPS REPLACE "^(pyro_.*)$" "\\1_guest")
    list(TRANSFORM arg_DEPS REPLACE "^pyro_fmt_guest$" "pyro_fmt")
    add_library(pyro_${name}_guest STATIC EXCLUDE_FROM_ALL ${sources})
    target_link_libraries(pyro_${name}_guest PUBLIC pyro_options ${arg_DEPS})
    target_compile_options(pyro_${name}_guest PUBLIC -O2)
  endif()
endfunction()


# For sources of the calling folder with coroutines: clang 14 fails on them ("Cannot represent a difference across
# sections") with the one check of -fsanitize=undefined that puts data before a function.
function(pyro_coroutines)
  if(PYRO_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -fno-sanitize=function)
  endif()
endfunction()

# What guests in tests boot from, shared by all build directories: pulling it takes half a minute.
set(PYRO_TEST_CACHE ${CMAKE_SOURCE_DIR}/build/test-cache)
if(DEFINED ENV{PYRO_TEST_CACHE})
  set(PYRO_TEST_CACHE $ENV{PYRO_TEST_CACHE})
endif()

# All that tests without guests and fuzzing need.
add_custom_target(guestless)

# `make check` runs the entries of two builds as one, so that those without guests fill the gaps.
set(PYRO_ENTRY_PREFIX "")
if(PYRO_SANITIZE)
  set(PYRO_ENTRY_PREFIX sanitized.)
endif()
# How many of ctest's -j an entry takes that keeps about one core busy. One that mostly waits takes 1.
set(PYRO_ONE_CORE 2)

# pyro_test(a_test SOURCES a_test.cc DEPS pyro_a LABEL unit): one ctest entry for the program; for the label vm, one per TEST.
# LABEL is unit, process, vm or fault; see CONTRIBUTING.md. TIMEOUT is in seconds, per entry. COST is as for
# pyro_pytest(); 3 if the label is vm.
# Tests of the label vm find debian:12 and debian:12-base installed in PYRO_TEST_CACHE. With sanitizers they are compiled only.
function(pyro_test name)
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT;COST" "SOURCES;DEPS" ${ARGN})
  if(NOT arg_LABEL)
    set(arg_LABEL unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  if(NOT PYRO_TESTS)
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} pyro_test_main pyro_options pyro_sanitize)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  pyro_use_precompiled(${name} pyro_test_pch)
  set(properties LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT} PROCESSORS ${PYRO_ONE_CORE})
  set(environment "PYRO_TEST_BIN=${CMAKE_BINARY_DIR}/bin;PYRO_TEST_CACHE=${PYRO_TEST_CACHE}")
  if(NOT arg_COST AND arg_LABEL STREQUAL "vm")
    set(arg_COST 3)
  endif()
  if(arg_COST)
    list(APPEND properties COST ${arg_COST})
  endif()
  if(arg_LABEL STREQUAL "vm" AND PYRO_SANITIZE)
    # Not registered.
  elseif(arg_LABEL STREQUAL "vm")
    include(GoogleTest)
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 NO_PRETTY_VALUES
      XML_OUTPUT_DIR ${CMAKE_BINARY_DIR}/results/ PROPERTIES ${properties} FIXTURES_REQUIRED test_environment)
    # Of a property that is a list, gtest_discover_tests() takes the first entry alone, without a warning.
    set(script ${CMAKE_CURRENT_BINARY_DIR}/${name}_environment.cmake)
    file(WRITE ${script} "foreach(test IN LISTS ${name}_TESTS)
  set_tests_properties(\"\${test}\" PROPERTIES ENVIRONMENT \"${environment}\")
endforeach()
")
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${script})
  else()
    # A process for each of many hundred quick tests would take longer than the tests do.
    add_dependencies(guestless ${name})
    set(entry ${PYRO_ENTRY_PREFIX}${name})
    add_test(NAME ${entry} COMMAND ${name} --gtest_brief=1 --gtest_output=xml:${CMAKE_BINARY_DIR}/results/${name}.xml)
    set_tests_properties(${entry} PROPERTIES ${properties} ENVIRONMENT "${environment}")
  endif()
  foreach(source ${arg_SOURCES})
    set_property(GLOBAL APPEND PROPERTY PYRO_TEST_SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/${source})
  endforeach()
endfunction()

# A test file that no CMakeLists names would pass by never running: refuse to configure.
function(pyro_check_all_tests_registered)
  file(GLOB_RECURSE found ${CMAKE_SOURCE_DIR}/src/*_test.cc ${CMAKE_SOURCE_DIR}/tests/*_test.cc)
  get_property(registered GLOBAL PROPERTY PYRO_TEST_SOURCES)
  foreach(file ${found})
    if(NOT file IN_LIST registered)
      message(FATAL_ERROR "${file} is not registered with pyro_test()")
    endif()
  endforeach()
endfunction()
