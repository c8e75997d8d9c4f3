#include "services/common/oci/token_source.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/oci/json.h"

namespace riseml::oci {
namespace {

constexpr std::size_t kMaxTokens = 1'000;
constexpr std::int64_t kDefaultSeconds = 60;           // when the server does not say, by the specification of tokens
constexpr absl::Duration kMargin = absl::Seconds(10);  // a token is not used in the last seconds of its life

// Authorization servers of well-known registries that have a host of their own.
constexpr std::pair<absl::string_view, absl::string_view> kKnownRealms[] = {
    {"docker.io", "auth.docker.io"}, {"registry-1.docker.io", "auth.docker.io"}, {"registry.gitlab.com", "gitlab.com"},
    {"nvcr.io", "authn.nvidia.com"}, {"registry.redhat.io", "sso.redhat.com"},
};

std::string BasicOf(const Credential& credential) {
  return absl::StrCat("Basic ", absl::Base64Escape(absl::StrCat(credential.username, ":", credential.password)));
}

bool IsTokenChar(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_'; }

// Takes a word, or a text in quotes, from the front of `rest`.
std::string TakeValue(absl::string_view& rest) {
  std::string value;
  if (!rest.empty() && rest.front() == '"') {
    rest.remove_prefix(1);
    while (!rest.empty() && rest.front() != '"') {
      if (rest.front() == '\\' && rest.size() > 1) rest.remove_prefix(1);
      value.push_back(rest.front());
      rest.remove_prefix(1);
    }
    if (!rest.empty()) rest.remove_prefix(1);
    return value;
  }
  while (!rest.empty() && rest.front() != ',' && rest.front() != ' ') {
    value.push_back(rest.front());
    rest.remove_prefix(1);
  }
  return value;
}

std::string TakeName(absl::string_view& rest) {
  std::string name;
  while (!rest.empty() && IsTokenChar(rest.front())) {
    name.push_back(absl::ascii_tolower(static_cast<unsigned char>(rest.front())));
    rest.remove_prefix(1);
  }
  return name;
}

}  // namespace

absl::StatusOr<Challenge> ParseChallenge(absl::string_view header) {
  Challenge challenge;
  absl::string_view rest = absl::StripLeadingAsciiWhitespace(header);
  challenge.scheme = TakeName(rest);
  if (challenge.scheme != "basic" && challenge.scheme != "bearer")
    return Error(Reason::kInvalidArgument,
                 "the registry asks for a kind of authorization that is neither Basic nor Bearer");
  while (true) {
    while (!rest.empty() && (rest.front() == ' ' || rest.front() == ',')) rest.remove_prefix(1);
    const std::string name = TakeName(rest);
    if (name.empty() || rest.empty() || rest.front() != '=') return challenge;
    rest.remove_prefix(1);
    challenge.parameters.emplace(name, TakeValue(rest));
  }
}

TokenSource::TokenSource(HttpTransport& http, const Clock& clock, Options options)
    : http_(http), clock_(clock), options_(std::move(options)) {}

std::string TokenSource::Known(const Scopes& scopes) {
  {
    MutexLock lock(mu_);
    if (basic_ && options_.credential) return BasicOf(*options_.credential);
    const auto found = tokens_.find(scopes);
    if (found != tokens_.end() && clock_.Now() < found->second.expiry) return found->second.value;
  }
  return options_.issue ? Issue(scopes).value_or("") : "";
}

absl::StatusOr<std::string> TokenSource::Issue(const Scopes& scopes) {
  RISEML_ASSIGN_OR_RETURN(const std::string token, options_.issue(scopes));
  return Remember(scopes, {absl::StrCat("Bearer ", token), clock_.Now() + kIssuedTokenUse});
}

std::string TokenSource::Remember(const Scopes& scopes, Token token) {
  MutexLock lock(mu_);
  if (tokens_.size() >= kMaxTokens) tokens_.clear();
  return (tokens_[scopes] = std::move(token)).value;
}

absl::StatusOr<std::string> TokenSource::Answer(const Scopes& scopes, const Challenge& challenge,
                                                const std::stop_token& stop) {
  if (options_.issue) return Issue(scopes);
  if (challenge.scheme == "basic") {
    if (!options_.credential)
      return Error(Reason::kUnauthenticated,
                   absl::StrCat(options_.registry, " asks for a user and a password, and none are known for it"));
    MutexLock lock(mu_);
    basic_ = true;
    return BasicOf(*options_.credential);
  }
  RISEML_ASSIGN_OR_RETURN(Token token, Fetch(scopes, challenge, stop));
  return Remember(scopes, std::move(token));
}

absl::StatusOr<bool> TokenSource::MaySendCredential(const Url& realm) const {
  if (!options_.credential) return false;
  const bool known = realm.host == options_.registry || options_.realm_hosts.contains(realm.host) ||
                     std::any_of(std::begin(kKnownRealms), std::end(kKnownRealms), [&](const auto& pair) {
                       return options_.registry == pair.first && realm.host == pair.second;
                     });
  if (known) return true;
  return Error(Reason::kPermissionDenied,
               absl::StrCat(options_.registry, " asks to send its password to ", realm.host,
                            ", another host; an administrator can allow it by listing that host for the registry"));
}

absl::StatusOr<TokenSource::Token> TokenSource::Fetch(const Scopes& scopes, const Challenge& challenge,
                                                      const std::stop_token& stop) {
  const auto parameter = [&](const char* name) {
    const auto found = challenge.parameters.find(name);
    return found == challenge.parameters.end() ? std::string() : found->second;
  };
  absl::StatusOr<Url> realm = ParseUrl(parameter("realm"));
  if (!realm.ok()) return While(absl::StrCat("the authorization server of ", options_.registry), realm.status());
  if (realm->scheme != "https" && !options_.plain_http)
    return Error(Reason::kPermissionDenied, absl::StrCat("the authorization server of ", options_.registry, " (",
                                                         realm->host, ") does not use TLS"));
  RISEML_ASSIGN_OR_RETURN(const bool send, MaySendCredential(*realm));

  HttpRequest request{
      .method = "GET", .url = absl::StrCat(realm->scheme, "://", realm->host, realm->path), .stop = stop};
  char separator = realm->path.find('?') == std::string::npos ? '?' : '&';
  const auto add = [&](absl::string_view name, absl::string_view value) {
    request.url += absl::StrCat(std::string(1, std::exchange(separator, '&')), name, "=", EscapeQuery(value));
  };
  if (const std::string service = parameter("service"); !service.empty()) add("service", service);
  for (const std::string& scope : scopes) add("scope", scope);
  if (send) request.headers.push_back({"Authorization", BasicOf(*options_.credential)});

  RISEML_ASSIGN_OR_RETURN(const HttpAnswer answer, http_.Perform(request));
  const std::optional<nlohmann::json> json = answer.status == 200 ? ParseObject(answer.body) : std::nullopt;
  std::string token = json ? TextAt(*json, "token") : "";
  if (json && token.empty()) token = TextAt(*json, "access_token");
  if (answer.status == 429 || answer.status >= 500)
    return Error(Reason::kUnavailable, absl::StrCat(realm->host, " answers ", answer.status));
  const bool usable =
      !token.empty() && std::all_of(token.begin(), token.end(), [](unsigned char c) { return c > ' ' && c < 0x7F; });
  if (!usable)
    return Error(Reason::kUnauthenticated,
                 absl::StrCat(realm->host, " gives no token for ", options_.registry, " (status ", answer.status, ")",
                              send ? "; check user and password" : "; no user and password are known for it"));
  const std::int64_t seconds =
      std::clamp<std::int64_t>(IntegerAt(*json, "expires_in").value_or(kDefaultSeconds), 0, 86'400);
  return Token{absl::StrCat("Bearer ", token), clock_.Now() + absl::Seconds(seconds) - kMargin};
}

}  // namespace riseml::oci
