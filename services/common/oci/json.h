// Reads JSON of registries without exceptions: a missing or wrong member reads as empty.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace riseml::oci {

// Returns nothing for a text that is not a JSON object.
inline std::optional<nlohmann::json> ParseObject(absl::string_view text) {
  nlohmann::json json = nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  return json;
}

inline const nlohmann::json* MemberAt(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

inline const nlohmann::json* ObjectAt(const nlohmann::json& object, const char* key) {
  const nlohmann::json* member = MemberAt(object, key);
  return member != nullptr && member->is_object() ? member : nullptr;
}

inline const nlohmann::json* ArrayAt(const nlohmann::json& object, const char* key) {
  const nlohmann::json* member = MemberAt(object, key);
  return member != nullptr && member->is_array() ? member : nullptr;
}

inline std::string TextAt(const nlohmann::json& object, const char* key) {
  const nlohmann::json* member = MemberAt(object, key);
  return member != nullptr && member->is_string() ? member->get<std::string>() : "";
}

inline std::optional<std::int64_t> IntegerAt(const nlohmann::json& object, const char* key) {
  const nlohmann::json* member = MemberAt(object, key);
  if (member == nullptr || !member->is_number_integer()) return std::nullopt;
  return member->get<std::int64_t>();
}

}  // namespace riseml::oci
