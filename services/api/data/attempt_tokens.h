// Makes and verifies the tokens by which attempts speak for themselves. Pure.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "services/common/base/id.h"

namespace riseml::api {

// Tokens of attempts: "rmj_" + job, attempt and an HMAC-SHA256 over both. Nothing is stored: the key makes and verifies
// them. The caller checks whether the attempt is still live.
class AttemptTokens {
 public:
  explicit AttemptTokens(std::string key) : key_(std::move(key)) {}  // at least 32 bytes

  std::string Make(const AttemptId& id) const;
  std::optional<AttemptId> Verify(absl::string_view token) const;

 private:
  std::string key_;
};

}  // namespace riseml::api
