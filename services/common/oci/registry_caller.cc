#include "services/common/oci/registry_caller.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/backoff.h"
#include "services/common/base/threads/pause.h"
#include "services/common/base/utf8.h"
#include "services/common/oci/json.h"

namespace riseml::oci {
namespace {

constexpr int kMaxRedirects = 5;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Returns the registry's own words about an error: {"errors": [{"code", "message"}]}.
std::string Explanation(const HttpAnswer& answer) {
  const std::optional<nlohmann::json> json = ParseObject(answer.body);
  const nlohmann::json* errors = json ? ArrayAt(*json, "errors") : nullptr;
  if (errors == nullptr || errors->empty()) return "";
  std::string text = TextAt(errors->front(), "message");
  if (text.empty()) text = TextAt(errors->front(), "code");
  return text.substr(0, 200);
}

// The time that the registry asks its clients to wait; zero if it does not say.
absl::Duration RetryAfter(const HttpAnswer& answer) {
  int seconds = 0;
  return absl::SimpleAtoi(answer.Header("retry-after"), &seconds) && seconds > 0 ? absl::Seconds(seconds)
                                                                                 : absl::ZeroDuration();
}

// Perform says what was tried.
absl::Status Wrong(absl::string_view why) { return Error(Reason::kInvalidArgument, why); }

std::string HostOfApi(const std::string& host) { return host == "docker.io" ? "registry-1.docker.io" : host; }

}  // namespace

std::string PullScope(absl::string_view repository) { return absl::StrCat("repository:", repository, ":pull"); }
std::string PushScope(absl::string_view repository) { return absl::StrCat("repository:", repository, ":pull,push"); }

RegistryCaller::RegistryCaller(HttpTransport& http, const Clock& clock, RegistryOptions options)
    : http_(http),
      options_(std::move(options)),
      origin_(absl::StrCat(options_.plain_http ? "http://" : "https://", HostOfApi(options_.host))),
      tokens_(http, clock,
              {.registry = HostOfApi(options_.host),
               .credential = options_.credential,
               .plain_http = options_.plain_http,
               .issue = options_.issue,
               .realm_hosts = options_.realm_hosts}) {}

std::string RegistryCaller::UrlOf(absl::string_view repository, absl::string_view resource) const {
  return absl::StrCat(origin_, "/v2/", repository, repository.empty() ? "" : "/", resource);
}

absl::Status RegistryCaller::Failed(const RegistryCall& call, const HttpAnswer& answer) const {
  const std::string explanation = Explanation(answer);
  const std::string message = absl::StrCat("cannot ", call.what, " of ", options_.host, ": status ", answer.status,
                                           explanation.empty() ? "" : absl::StrCat(", \"", explanation, "\""));
  switch (answer.status) {
    case 401:
      return Error(Reason::kUnauthenticated, message);
    case 403:
      return Error(Reason::kPermissionDenied, message);
    case 404:
      return Error(Reason::kNotFound, message);
    case 429:
      return Error(Reason::kUnavailable,
                   absl::StrCat(message, "; it limits how often it may be called",
                                RetryAfter(answer) > absl::ZeroDuration()
                                    ? absl::StrCat(", try again in ", absl::FormatDuration(RetryAfter(answer)))
                                    : ""));
    default:
      return answer.status >= 500 ? Error(Reason::kUnavailable, message) : Error(Reason::kInvalidArgument, message);
  }
}

absl::Status RegistryCaller::Broken(const RegistryCall& call, absl::string_view why) const {
  return Error(Reason::kInvalidArgument, absl::StrCat("cannot ", call.what, " of ", options_.host, ": ", why));
}

absl::StatusOr<std::string> RegistryCaller::Locate(const RegistryCall& call, const std::string& base,
                                                   const std::string& location) const {
  RISEML_ASSIGN_OR_RETURN(const Url from, ParseUrl(base));
  if (absl::StartsWith(location, "/") && !absl::StartsWith(location, "//"))
    return absl::StrCat(from.scheme, "://", from.host, location);
  const absl::StatusOr<Url> url = ParseUrl(location);
  if (!url.ok()) return Broken(call, "the answer leads to no valid URL");
  if (url->host != from.host || url->scheme != from.scheme)
    return Broken(call, absl::StrCat("the answer leads to another host, ", url->host));
  return location;
}

absl::StatusOr<HttpAnswer> RegistryCaller::Authorized(const RegistryCall& call, HttpRequest request) {
  const std::string known = tokens_.Known(call.scopes);
  const std::vector<HttpHeader> plain = request.headers;
  if (!known.empty()) request.headers.push_back({"Authorization", known});
  RISEML_ASSIGN_OR_RETURN(HttpAnswer answer, http_.Perform(request));
  if (answer.status != 401) return answer;
  // No token yet, or one that has been revoked.
  const absl::StatusOr<Challenge> challenge = ParseChallenge(answer.Header("www-authenticate"));
  if (!challenge.ok()) return answer;
  request.headers = plain;
  RISEML_ASSIGN_OR_RETURN(std::string authorization, tokens_.Answer(call.scopes, *challenge, request.stop));
  request.headers.push_back({"Authorization", std::move(authorization)});
  return http_.Perform(request);
}

absl::StatusOr<HttpAnswer> RegistryCaller::PerformOnce(const RegistryCall& call, const HttpRequest& request) {
  RISEML_ASSIGN_OR_RETURN(HttpAnswer answer, Authorized(call, request));
  if (request.method != "GET" && request.method != "HEAD") return answer;
  HttpRequest next = request;
  for (int i = 0; IsRedirect(answer.status); ++i) {
    if (i == kMaxRedirects) return Wrong("it redirects in circles");
    const std::string location = answer.Header("location");
    RISEML_ASSIGN_OR_RETURN(const Url from, ParseUrl(next.url));
    if (absl::StartsWith(location, "/") && !absl::StartsWith(location, "//")) {
      next.url = absl::StrCat(from.scheme, "://", from.host, location);
    } else {
      const absl::StatusOr<Url> to = ParseUrl(location);
      if (!to.ok()) return Wrong("it redirects to no valid URL");
      if (from.scheme == "https" && to->scheme != "https")
        return Wrong(absl::StrCat("it redirects to ", to->host, " without TLS"));
      next.url = location;
    }
    const bool own = absl::StartsWith(next.url, absl::StrCat(origin_, "/"));
    RISEML_ASSIGN_OR_RETURN(answer, own ? Authorized(call, next) : http_.Perform(next));
  }
  return answer;
}

absl::Status RegistryCaller::Checked(const RegistryCall& call, const HttpAnswer& answer) const {
  const bool final = answer.status == 401 || answer.status == 403;
  return final || answer.status == 429 || answer.status >= 500 ? Failed(call, answer) : absl::OkStatus();
}

absl::StatusOr<HttpAnswer> RegistryCaller::Perform(const RegistryCall& call, const HttpRequest& request) {
  for (int failures = 0;; ++failures) {
    absl::StatusOr<HttpAnswer> answer = PerformOnce(call, request);
    const absl::Status status = answer.ok() ? Checked(call, *answer) : answer.status();
    if (status.ok()) return answer;
    const bool begun = call.passed_on != nullptr && *call.passed_on > 0;
    const absl::Duration asked = answer.ok() ? RetryAfter(*answer) : absl::ZeroDuration();
    if (!absl::IsUnavailable(status) || begun || failures + 1 >= options_.tries || asked > options_.longest_pause) {
      return answer.ok() ? status : While(absl::StrCat("cannot ", call.what, " of ", options_.host), status);
    }
    const absl::Duration pause =
        asked > absl::ZeroDuration() ? asked : Backoff(failures, options_.first_pause, options_.longest_pause);
    if (!Pause(request.stop, pause)) return absl::CancelledError("stopped");
  }
}

}  // namespace riseml::oci
