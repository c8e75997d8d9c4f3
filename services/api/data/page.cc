#include "services/api/data/page.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "services/api/data/records.h"
#include "services/common/base/status.h"
#include "services/common/base/utf8.h"

namespace riseml::api {
namespace {

constexpr int kDefaultPage = 50, kMaxPage = 500;
constexpr absl::string_view kSeparator("\n", 1);

std::string HashOf(const google::protobuf::Message& request) {
  return absl::BytesToHexString(ArgumentHash(request)).substr(0, 16);
}

}  // namespace

absl::StatusOr<int> PageSize(int asked) {
  if (asked < 0) return Error(Reason::kInvalidArgument, "page_size must be 0 or more");
  return asked == 0 ? kDefaultPage : std::min(asked, kMaxPage);
}

absl::StatusOr<std::vector<std::string>> ReadPageToken(absl::string_view token,
                                                       const google::protobuf::Message& request,
                                                       std::size_t key_parts) {
  if (token.empty()) return std::vector<std::string>();
  std::string text;
  std::vector<std::string> parts;
  // The database accepts neither NUL nor invalid UTF-8.
  const bool is_text = absl::WebSafeBase64Unescape(token, &text) && !absl::StrContains(text, '\0') && IsValidUtf8(text);
  if (is_text) parts = absl::StrSplit(text, kSeparator);
  if (parts.size() != key_parts + 1 || parts.front() != HashOf(request))
    return Error(Reason::kInvalidPageToken, "page_token was not made for this request; begin without one");
  parts.erase(parts.begin());
  return parts;
}

std::string MakePageToken(const std::vector<std::string>& last_key, const google::protobuf::Message& request) {
  return absl::WebSafeBase64Escape(absl::StrCat(HashOf(request), kSeparator, absl::StrJoin(last_key, kSeparator)));
}

}  // namespace riseml::api
