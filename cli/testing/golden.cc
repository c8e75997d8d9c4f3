#include "cli/testing/golden.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace riseml::cli {

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = absl::StrCat(RISEML_GOLDEN_DIR, "/", name, ".txt");
  const std::string shown = absl::StrReplaceAll(text, {{"\x1b", "␛"}, {"\r", "␍"}});
  const char* update = getenv("RISEML_UPDATE_GOLDEN");
  if (update != nullptr && std::string(update) == "1") {
    std::ofstream(path) << shown;
    return;
  }
  std::ifstream in(path);
  ASSERT_TRUE(in.good()) << path << " cannot be read; RISEML_UPDATE_GOLDEN=1 writes it";
  std::ostringstream expected;
  expected << in.rdbuf();
  EXPECT_EQ(shown, expected.str()) << path << "; RISEML_UPDATE_GOLDEN=1 rewrites it";
}

}  // namespace riseml::cli
