# pyro_build_id: pyro::BuildId(). The digest is computed at every build, which takes
# milliseconds, and its file is touched only when it changes.
set(build_id_source ${CMAKE_BINARY_DIR}/generated/build_id.cc)
add_custom_target(pyro_build_id_source BYPRODUCTS ${build_id_source}
  COMMAND ${CMAKE_COMMAND} -D ROOT=${CMAKE_SOURCE_DIR} -D OUTPUT=${build_id_source}
          -P ${CMAKE_SOURCE_DIR}/cmake/write_build_id.cmake
  COMMENT "Digest of the agent's sources" VERBATIM)

pyro_library(build_id GUEST SOURCES ${build_id_source} DEPS pyro_base)
foreach(library pyro_build_id pyro_build_id${PYRO_GUEST_SUFFIX})
  add_dependencies(${library} pyro_build_id_source)
endforeach()
