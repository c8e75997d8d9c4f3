#include "services/builder/image/token_request.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::builder {
namespace {

constexpr std::size_t kMaxScopes = 20;
constexpr absl::string_view kBasic = "basic ";

// Decodes "%2F" and "+".
std::optional<std::string> Decode(absl::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      const absl::string_view digits = text.substr(i + 1, 2);
      if (digits.size() != 2 || digits.find_first_not_of("0123456789abcdefABCDEF") != absl::string_view::npos)
        return std::nullopt;
      out += absl::HexStringToBytes(digits);
      i += 2;
    }
  }
  return out;
}

absl::Status AddScopes(absl::string_view scopes, std::vector<RepositoryAccess>& access) {
  for (const absl::string_view scope : absl::StrSplit(scopes, ' ', absl::SkipEmpty())) {
    const absl::StatusOr<RepositoryAccess> wanted = ParseScope(scope);
    if (!wanted.ok()) continue;
    const auto same = [&](const RepositoryAccess& other) { return other.repository == wanted->repository; };
    const auto found = std::find_if(access.begin(), access.end(), same);
    if (found != access.end()) {
      found->actions.insert(wanted->actions.begin(), wanted->actions.end());
      continue;
    }
    if (access.size() == kMaxScopes) return Error(Reason::kInvalidArgument, "a token is for at most 20 repositories");
    access.push_back(*wanted);
  }
  return absl::OkStatus();
}

absl::Status ReadAuthorization(absl::string_view authorization, TokenRequest& request) {
  if (authorization.empty()) return absl::OkStatus();
  std::string plain;
  const bool basic = absl::StartsWithIgnoreCase(authorization, kBasic) &&
                     absl::Base64Unescape(authorization.substr(kBasic.size()), &plain);
  const std::size_t colon = plain.find(':');
  if (!basic || colon == std::string::npos)
    return Error(Reason::kUnauthenticated, "show a user name and a key of the API by Basic authorization");
  request.username = plain.substr(0, colon);
  request.password = plain.substr(colon + 1);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenRequest> ParseTokenRequest(absl::string_view target, absl::string_view authorization) {
  const std::size_t mark = target.find('?');
  if (target.substr(0, mark) != "/token") return Error(Reason::kNotFound, "only /token is here");
  TokenRequest request;
  RISEML_RETURN_IF_ERROR(ReadAuthorization(authorization, request));
  const absl::string_view query = mark == absl::string_view::npos ? "" : target.substr(mark + 1);
  for (const absl::string_view pair : absl::StrSplit(query, '&', absl::SkipEmpty())) {
    const std::size_t equals = pair.find('=');
    const absl::string_view name = pair.substr(0, equals);
    const std::optional<std::string> value =
        Decode(equals == absl::string_view::npos ? absl::string_view() : pair.substr(equals + 1));
    if (!value) return Error(Reason::kInvalidArgument, "the query cannot be decoded");
    if (name == "service" && *value != kTokenService)
      return Error(Reason::kInvalidArgument, "tokens are given for the service riseml-registry only");
    if (name == "scope") RISEML_RETURN_IF_ERROR(AddScopes(*value, request.access));
  }
  return request;
}

}  // namespace riseml::builder
