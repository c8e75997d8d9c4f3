// Recognises Git LFS pointers: small texts that stand for files that were not fetched. Pure.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace riseml::sync {

// Longest pointer, in bytes.
inline constexpr std::size_t kLfsPointerBytes = 1024;

// `beginning` is the file's first bytes, `bytes` its size.
bool IsLfsPointer(absl::string_view beginning, std::int64_t bytes);

}  // namespace riseml::sync
