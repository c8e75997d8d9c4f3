# riseml_library(NAME SOURCES a.cc … DEPENDS …), riseml_binary(…), riseml_test(…): what every folder is made of.

function(riseml_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_DEPENDS})
  riseml_compile_fast(${name} riseml_pch)
endfunction()

# STATIC: the program needs no library of the system and runs in every container image. Presets with shared libraries of gRPC
# link it like the others, since sanitizers need the shared C library.
function(riseml_binary name)
  cmake_parse_arguments(ARG "STATIC" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  add_dependencies(programs ${name})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS})
  if(NOT ARG_STATIC)
    riseml_show_libraries_to_tsan(${name})
  elseif(RISEML_STATIC_GRPC)
    target_link_options(${name} PRIVATE -static-pie)
  endif()
  riseml_compile_fast(${name} riseml_pch)
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_link_options(${name} PRIVATE -s)
  endif()
endfunction()

# A GoogleTest binary. LABELS unit (nothing outside the process), contract (real servers) or e2e (the whole suite); tests with
# threads carry the label threads too and run under ThreadSanitizer.
function(riseml_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
  riseml_show_libraries_to_tsan(${name})
  riseml_compile_fast(${name} riseml_test_pch)
  add_test(NAME ${name} COMMAND ${name} --gtest_shuffle)
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 600)
endfunction()

# Most of the time of a compilation goes into headers. Two things make it short:
#
# 1. Several sources of a target are compiled as one (a unity build). Names in anonymous namespaces must therefore be unique
#    within a target. Preset tidy compiles every file by itself, so that each includes what it uses.
# 2. All targets share a precompiled header (pch.cmake). Tests have one with GoogleTest.
option(RISEML_UNITY "Compile several sources of a target as one" ON)
set(RISEML_UNITY_BATCH 12 CACHE STRING "Sources that are compiled as one, at most")

function(riseml_compile_fast name pch)
  set_target_properties(${name} PROPERTIES UNITY_BUILD ${RISEML_UNITY} UNITY_BUILD_BATCH_SIZE ${RISEML_UNITY_BATCH})
  target_precompile_headers(${name} REUSE_FROM ${pch})
endfunction()

# Programs under ThreadSanitizer are told what gRPC and librdkafka do to order threads.
if(RISEML_SANITIZE MATCHES "thread")
  add_library(riseml_tsan OBJECT ${CMAKE_SOURCE_DIR}/tests/tsan/c11_threads.cc ${CMAKE_SOURCE_DIR}/tests/tsan/grpc_visibility.cc)
endif()
function(riseml_show_libraries_to_tsan name)
  if(TARGET riseml_tsan)
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:riseml_tsan>)
  endif()
endfunction()
