# One library per folder of src/, with its floor's dependencies spelled out; one test program per *_test.cc.

add_library(pyro_options INTERFACE)
target_compile_options(pyro_options INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
                       -Wno-missing-field-initializers)
if(PYRO_WERROR)
  target_compile_options(pyro_options INTERFACE -Werror)
endif()
# Quoted includes only: <sys/random.h> must stay the system's although src/sys has a file of that name.
target_compile_options(pyro_options INTERFACE "SHELL:-iquote ${CMAKE_SOURCE_DIR}/src")
target_include_directories(pyro_options INTERFACE ${CMAKE_SOURCE_DIR}/include ${CMAKE_BINARY_DIR}/generated)

# The guest agent is linked statically, which sanitizers cannot be; its libraries are built a second time
# without them when they are on.
add_library(pyro_sanitize INTERFACE)
if(PYRO_SANITIZE)
  target_compile_options(pyro_sanitize INTERFACE -fsanitize=${PYRO_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(pyro_sanitize INTERFACE -fsanitize=${PYRO_SANITIZE})
endif()
if(PYRO_FUZZ)
  target_compile_options(pyro_sanitize INTERFACE -fsanitize=fuzzer-no-link)
endif()

# pyro_library(base SOURCES a.cc DEPS fmt::fmt): makes pyro_base. GUEST also makes pyro_base_guest, the
# same sources without sanitizers, for the static agent. What a host program links, the Python module links too.
function(pyro_library name)
  cmake_parse_arguments(arg "GUEST" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(pyro_${name} STATIC ${arg_SOURCES})
  set_target_properties(pyro_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(pyro_${name} PUBLIC pyro_options pyro_sanitize ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS})
  # Links the whole library with what it declares and nothing else: a call to a higher floor does not link.
  if(PYRO_TESTS AND NOT PYRO_SANITIZE)
    add_executable(link_check_${name} ${CMAKE_SOURCE_DIR}/cmake/link_check.cc)
    target_link_libraries(link_check_${name} PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,pyro_${name}>)
    set_target_properties(link_check_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  endif()
  if(arg_GUEST)
    list(TRANSFORM arg_DEPS REPLACE "^(pyro_.*)$" "\\1_guest")
    list(TRANSFORM arg_DEPS REPLACE "^fmt::fmt$" "fmt::fmt-header-only")
    add_library(pyro_${name}_guest STATIC EXCLUDE_FROM_ALL ${arg_SOURCES})
    target_link_libraries(pyro_${name}_guest PUBLIC pyro_options ${arg_DEPS})
    target_compile_options(pyro_${name}_guest PUBLIC -O2 -ffunction-sections -fdata-sections)
  endif()
endfunction()

# For sources of the calling folder with coroutines: clang 14 fails on them ("Cannot represent a difference across
# sections") with the one check of -fsanitize=undefined that puts data before a function.
function(pyro_coroutines)
  set_source_files_properties(${ARGN} PROPERTIES
    COMPILE_OPTIONS "$<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=function>")
endfunction()

# What guests in tests boot from, shared by all build directories: pulling it takes half a minute.
set(PYRO_TEST_CACHE ${CMAKE_SOURCE_DIR}/build/test-cache)
if(DEFINED ENV{PYRO_TEST_CACHE})
  set(PYRO_TEST_CACHE $ENV{PYRO_TEST_CACHE})
endif()

# All that tests without guests and fuzzing need.
add_custom_target(guestless)

# pyro_test(a_test SOURCES a_test.cc DEPS pyro_a LABEL unit): one ctest entry for the program; for the label vm, one per TEST.
# LABEL is unit, process, vm or fault; see CONTRIBUTING.md. TIMEOUT is in seconds, per entry. COST is as for
# pyro_pytest(); 3 if the label is vm.
# Tests of the label vm find debian:12 and debian:12-base installed in PYRO_TEST_CACHE.
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
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gtest GTest::gtest_main pyro_options pyro_sanitize)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  set(properties LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT})
  set(environment "PYRO_TEST_BIN=${CMAKE_BINARY_DIR}/bin;PYRO_TEST_CACHE=${PYRO_TEST_CACHE}")
  if(NOT arg_COST AND arg_LABEL STREQUAL "vm")
    set(arg_COST 3)
  endif()
  if(arg_COST)
    list(APPEND properties COST ${arg_COST})
  endif()
  if(arg_LABEL STREQUAL "vm")
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
    add_test(NAME ${name} COMMAND ${name} --gtest_brief=1 --gtest_output=xml:${CMAKE_BINARY_DIR}/results/${name}.xml)
    set_tests_properties(${name} PROPERTIES ${properties} ENVIRONMENT "${environment}")
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
