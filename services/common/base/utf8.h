// UTF-8 as RFC 3629 defines it.
#pragma once

#include "absl/strings/string_view.h"

namespace riseml {

// False for overlong forms, surrogates and what lies behind U+10FFFF.
bool IsValidUtf8(absl::string_view text);

}  // namespace riseml
