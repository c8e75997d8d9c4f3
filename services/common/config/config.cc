#include "services/common/config/config.h"

#include <google/protobuf/util/json_util.h>
#include <yaml-cpp/yaml.h>

#include <exception>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::config {
namespace {

constexpr std::int64_t kMaxBytes = 64 << 10;

// Scalars become texts: the typed parser converts them to the type of the field, or names those it refuses.
nlohmann::json ToJson(const YAML::Node& node, int depth) {
  if (depth > 32) throw YAML::Exception(node.Mark(), "nested too deeply");
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      return node.Scalar();
    case YAML::NodeType::Sequence: {
      nlohmann::json out = nlohmann::json::array();
      for (const auto& item : node) out.push_back(ToJson(item, depth + 1));
      return out;
    }
    case YAML::NodeType::Map: {
      nlohmann::json out = nlohmann::json::object();
      for (const auto& item : node) {
        const std::string key = item.first.Scalar();
        if (out.contains(key)) throw YAML::Exception(item.first.Mark(), "key '" + key + "' is given twice");
        out[key] = ToJson(item.second, depth + 1);
      }
      return out;
    }
    default:
      return nullptr;
  }
}

}  // namespace

absl::Status ParseConfig(absl::string_view yaml, google::protobuf::Message* message) {
  std::string json;
  try {
    const YAML::Node root = YAML::Load(std::string(yaml));
    if (root.IsDefined() && !root.IsNull() && !root.IsMap())
      return Error(Reason::kInvalidArgument, "configuration must be a mapping of keys to values");
    json = root.IsMap() ? ToJson(root, 0).dump() : "{}";
  } catch (const std::exception& e) {
    return Error(Reason::kInvalidArgument, e.what());
  }
  google::protobuf::util::JsonParseOptions strict;
  strict.ignore_unknown_fields = false;
  const auto status = google::protobuf::util::JsonStringToMessage(json, message, strict);
  if (!status.ok())
    return Error(Reason::kInvalidArgument, absl::string_view(status.message().data(), status.message().size()));
  return absl::OkStatus();
}

absl::Status LoadConfig(const std::string& path, google::protobuf::Message* message) {
  RISEML_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxBytes));
  return While(path, ParseConfig(text, message));
}

}  // namespace riseml::config
