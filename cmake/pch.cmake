# The precompiled headers riseml_pch and riseml_test_pch. A third of the time of a compilation would otherwise go into the
# headers that protoc makes; protos.h includes them all.
get_property(generated GLOBAL PROPERTY RISEML_GENERATED_HEADERS)
list(TRANSFORM generated REPLACE "(.+)" "#include \"\\1\"\n")
list(JOIN generated "" generated)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/protos.h CONTENT "${generated}" @ONLY)
foreach(pch riseml_pch riseml_test_pch)
  add_library(${pch} OBJECT EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/cmake/pch.cc)
  target_link_libraries(${pch} PRIVATE riseml_protos)
endforeach()
target_precompile_headers(riseml_pch PRIVATE cmake/pch.h)
target_link_libraries(riseml_test_pch PRIVATE GTest::gmock)
target_precompile_headers(riseml_test_pch PRIVATE cmake/pch.h <gtest/gtest.h> <gmock/gmock.h>)
