// Output for programs.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::cli {

// {"kind": KIND, "version": 1, "items": [...]} and a newline. Items are messages of riseml.v1 in protobuf's JSON with
// the field names of the protos; every field without presence is there, also with its default; 64-bit integers are
// strings, times RFC 3339.
std::string Json(absl::string_view kind, const std::vector<const google::protobuf::Message*>& items);

template <class Message>
std::string Json(absl::string_view kind, const std::vector<Message>& items) {
  std::vector<const google::protobuf::Message*> pointers;
  for (const Message& item : items) pointers.push_back(&item);
  return Json(kind, pointers);
}

}  // namespace riseml::cli
