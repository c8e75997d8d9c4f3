// Expected output in files.
#pragma once

#include <string>

namespace riseml::cli {

// Fails the test when `text` is not what tests/golden/cli/NAME.txt holds. With RISEML_UPDATE_GOLDEN=1 in the
// environment the file is written instead, and the difference shows in the next commit. Escape sequences are stored as
// ␛[…m.
void ExpectGolden(const std::string& name, const std::string& text);

}  // namespace riseml::cli
