// Page tokens: where a listing stopped, bound to the arguments it was made for.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::api {

// Returns the number of rows of a page: 50 if `asked` is 0, at most 500. INVALID_ARGUMENT if it is negative.
absl::StatusOr<int> PageSize(int asked);

// The last key of the previous page, e.g. {"census"}; empty at the start. `request` is the list request without
// page_token and page_size. INVALID_ARGUMENT (INVALID_PAGE_TOKEN) for a token of another listing.
absl::StatusOr<std::vector<std::string>> ReadPageToken(absl::string_view token,
                                                       const google::protobuf::Message& request, std::size_t key_parts);
std::string MakePageToken(const std::vector<std::string>& last_key, const google::protobuf::Message& request);

// `request` without its page fields.
template <class Request>
Request WithoutPage(Request request) {
  request.clear_page_token();
  request.clear_page_size();
  return request;
}

}  // namespace riseml::api
