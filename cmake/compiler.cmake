# Warnings are errors; every binary is hardened; ccache and mold are used when the machine has them.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_compile_options(-pthread -Wall -Wextra -Werror -Wno-missing-field-initializers -fPIE -fstack-protector-strong)
add_compile_definitions(_GLIBCXX_ASSERTIONS)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")
add_link_options(-pie -Wl,-z,relro,-z,now,--as-needed)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_definitions(_FORTIFY_SOURCE=2)
  add_compile_options(-fcf-protection=full -ffunction-sections -fdata-sections)
  add_link_options(-Wl,--gc-sections)  # what no one calls costs time at each start
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Less garbage collection inside of the compiler: a fifth less time for 200 MB more memory.
  set(RISEML_COMPILER_MEMORY --param=ggc-min-heapsize=1048576 --param=ggc-min-expand=200)
  add_compile_options(${RISEML_COMPILER_MEMORY})
endif()

find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options(-Wthread-safety -Wno-unused-command-line-argument)
endif()

if(RISEML_SANITIZE)
  add_compile_options(-fsanitize=${RISEML_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${RISEML_SANITIZE})
  if(RISEML_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()
if(RISEML_SANITIZE MATCHES "thread")
  # Protobuf's headers give map fields two more members than Debian's library has if they see ThreadSanitizer. The question
  # `__has_feature(thread_sanitizer)` is therefore answered with no, and the others that headers ask with yes. libstdc++,
  # which needs to know too, is told by its own name.
  set(RISEML_THREAD_OPTIONS -fsanitize=thread -D_GLIBCXX_TSAN=1 "-D__has_feature(x)=RISEML_HAS_##x"
    -Wno-builtin-macro-redefined)
  foreach(feature cxx_attributes cxx_exceptions cxx_inheriting_constructors cxx_rtti cxx_thread_local)
    list(APPEND RISEML_THREAD_OPTIONS -DRISEML_HAS_${feature}=1)
  endforeach()
  add_compile_options(${RISEML_THREAD_OPTIONS})
endif()

# Checks sources without making code. Objects, libraries and programs are empty files that tell what is up to date; the
# precompiled header alone is real.
option(RISEML_CHECK_ONLY "Check that every file compiles, make nothing (Clang only)" OFF)
if(RISEML_CHECK_ONLY)
  unset(CMAKE_CXX_COMPILER_LAUNCHER)  # there is nothing that a cache could keep
  set(CMAKE_CXX_COMPILE_OBJECT
    "<CMAKE_CXX_COMPILER> <DEFINES> <INCLUDES> -Xclang -fsyntax-only <FLAGS> -o <OBJECT> -c <SOURCE>" "touch <OBJECT>")
  set(CMAKE_CXX_CREATE_STATIC_LIBRARY "touch <TARGET>")
  set(CMAKE_CXX_ARCHIVE_CREATE "touch <TARGET>")
  set(CMAKE_CXX_ARCHIVE_APPEND "")
  set(CMAKE_CXX_ARCHIVE_FINISH "")
  set(CMAKE_CXX_LINK_EXECUTABLE "touch <TARGET>")
endif()
