// Output for programs.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::cli {

// One object on one line: {"version":1,"experiment":{…},"children":[…]}. Each name holds one message of riseml.v1, or a
// list of them, in protobuf's JSON with the field names of the protos. Fields without presence are always written,
// defaults included; 64-bit integers are strings, times RFC 3339. New versions only add names and fields; `version`
// grows with any other change.
class JsonObject {
 public:
  JsonObject& One(absl::string_view name, const google::protobuf::Message& message);

  template <class Message>
  JsonObject& Many(absl::string_view name, const std::vector<Message>& messages) {
    std::vector<const google::protobuf::Message*> pointers;
    for (const Message& message : messages) pointers.push_back(&message);
    return Pointers(name, pointers);
  }

  // Adds text that is JSON already.
  JsonObject& Raw(absl::string_view name, absl::string_view json);

  // The object and a newline.
  std::string Text() const;

 private:
  JsonObject& Pointers(absl::string_view name, const std::vector<const google::protobuf::Message*>& messages);

  std::string members_;
};

}  // namespace riseml::cli
