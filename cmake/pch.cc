// An object for the target that carries a precompiled header; see cmake/pyro.cmake.
