#include "services/common/oci/credentials.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/oci/json.h"

namespace riseml::oci {
namespace {

constexpr std::size_t kMaxEntries = 1'000;

std::string HostOf(absl::string_view key) {
  for (const absl::string_view scheme : {"https://", "http://"})
    if (absl::StartsWith(key, scheme)) key.remove_prefix(scheme.size());
  const std::string host = absl::AsciiStrToLower(key.substr(0, key.find('/')));
  return host == "index.docker.io" || host == "registry-1.docker.io" ? "docker.io" : host;
}

absl::StatusOr<Credential> ReadEntry(const std::string& host, const nlohmann::json& entry) {
  const auto wrong = [&](absl::string_view why) {
    return Error(Reason::kInvalidArgument, absl::StrCat("the credentials for ", host, " cannot be read: ", why));
  };
  Credential credential{TextAt(entry, "username"), TextAt(entry, "password")};
  if (const std::string auth = TextAt(entry, "auth"); !auth.empty()) {
    std::string plain;
    if (!absl::Base64Unescape(auth, &plain)) return wrong("'auth' is not base64");
    const std::size_t colon = plain.find(':');
    if (colon == std::string::npos) return wrong("'auth' does not consist of NAME:PASSWORD");
    credential.username = plain.substr(0, colon);
    credential.password = plain.substr(colon + 1);
  }
  if (credential.password.empty())
    return wrong("it has no password; Docker may keep it in a helper program, write it into this file instead");
  return credential;
}

}  // namespace

absl::StatusOr<Credentials> ParseDockerConfig(absl::string_view json) {
  const std::optional<nlohmann::json> document = ParseObject(json);
  const nlohmann::json* auths = document ? ObjectAt(*document, "auths") : nullptr;
  if (auths == nullptr || auths->size() > kMaxEntries)
    return Error(Reason::kInvalidArgument, "credentials must be a JSON object with \"auths\" of at most 1,000 hosts");
  Credentials credentials;
  for (const auto& item : auths->items()) {
    const std::string host = HostOf(item.key());
    RISEML_ASSIGN_OR_RETURN(credentials[host], ReadEntry(host, item.value()));
  }
  return credentials;
}

std::string ToDockerConfig(const Credentials& credentials) {
  nlohmann::json auths = nlohmann::json::object();
  for (const auto& [host, credential] : credentials) {
    nlohmann::json& entry = auths[host == "docker.io" ? "https://index.docker.io/v1/" : host];
    entry["auth"] = absl::Base64Escape(absl::StrCat(credential.username, ":", credential.password));
  }
  return nlohmann::json{{"auths", std::move(auths)}}.dump();
}

}  // namespace riseml::oci
