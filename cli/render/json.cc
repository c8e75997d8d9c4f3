#include "cli/render/json.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace riseml::cli {
namespace {

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  // Fails for values that JSON cannot express, such as a time beyond the year 9999: prints null, not half an object.
  const bool ok = google::protobuf::util::MessageToJsonString(message, &text, options).ok();
  return ok ? text : "null";
}

}  // namespace

JsonObject& JsonObject::Raw(absl::string_view name, absl::string_view json) {
  absl::StrAppend(&members_, ",\"", name, "\":", json);
  return *this;
}

JsonObject& JsonObject::One(absl::string_view name, const google::protobuf::Message& message) {
  return Raw(name, ToJson(message));
}

JsonObject& JsonObject::Pointers(absl::string_view name,
                                 const std::vector<const google::protobuf::Message*>& messages) {
  std::vector<std::string> items;
  for (const google::protobuf::Message* message : messages) items.push_back(ToJson(*message));
  return Raw(name, absl::StrCat("[", absl::StrJoin(items, ","), "]"));
}

std::string JsonObject::Text() const { return absl::StrCat("{\"version\":1", members_, "}\n"); }

}  // namespace riseml::cli
