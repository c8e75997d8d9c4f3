#include "cli/render/json.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"

namespace riseml::cli {

std::string Json(absl::string_view kind, const std::vector<const google::protobuf::Message*>& items) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string out = absl::StrCat("{\"kind\":\"", kind, "\",\"version\":1,\"items\":[");
  absl::string_view separator = "";
  for (const google::protobuf::Message* item : items) {
    std::string text;
    // Fails for values that JSON has no form for, such as a time beyond the year 9999; then the item is null, not half
    // an object.
    if (!google::protobuf::util::MessageToJsonString(*item, &text, options).ok()) text = "null";
    absl::StrAppend(&out, separator, text);
    separator = ",";
  }
  absl::StrAppend(&out, "]}\n");
  return out;
}

}  // namespace riseml::cli
