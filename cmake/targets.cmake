# riseml_library(NAME SOURCES a.cc … DEPENDS …), riseml_binary(…), riseml_test(…): what every folder is made of.

function(riseml_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_DEPENDS})
  riseml_use_pch(${name} "${ARG_DEPENDS}")
endfunction()

function(riseml_binary name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  add_dependencies(programs ${name})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS})
  riseml_show_grpc_to_tsan(${name})
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
  riseml_show_grpc_to_tsan(${name})
  riseml_use_pch(${name} "${ARG_DEPENDS}")
  add_test(NAME ${name} COMMAND ${name} --gtest_shuffle)
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 300)
endfunction()

# Targets that speak gRPC share one precompiled header (3 s a file become 1 s).
function(riseml_use_pch name depends)
  if(TARGET riseml_pch AND depends MATCHES "riseml_(rpc|protos)" AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_precompile_headers(${name} REUSE_FROM riseml_pch)
  endif()
endfunction()

# Programs under ThreadSanitizer are told what gRPC does to order threads.
if(RISEML_SANITIZE MATCHES "thread")
  add_library(riseml_tsan OBJECT ${CMAKE_SOURCE_DIR}/tests/tsan/grpc_visibility.cc)
endif()
function(riseml_show_grpc_to_tsan name)
  if(TARGET riseml_tsan)
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:riseml_tsan>)
  endif()
endfunction()
