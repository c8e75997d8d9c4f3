#include "services/common/oci/reference.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/status.h"
#include "services/common/oci/digest.h"

namespace riseml::oci {
namespace {

constexpr absl::string_view kDockerHub = "docker.io";
constexpr std::size_t kMaxNameBytes = 255;
constexpr std::size_t kMaxTagBytes = 128;

bool IsLowerOrDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'z'); }

// Letters and digits, joined by one ".", one or two "_", or any number of "-".
bool IsComponent(absl::string_view text) {
  if (text.empty() || !IsLowerOrDigit(text.front()) || !IsLowerOrDigit(text.back())) return false;
  for (std::size_t at = 0; at < text.size();) {
    if (IsLowerOrDigit(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (!IsLowerOrDigit(text[end])) ++end;
    const absl::string_view separator = text.substr(at, end - at);
    const bool dashes = std::all_of(separator.begin(), separator.end(), [](char c) { return c == '-'; });
    if (!dashes && separator != "." && separator != "_" && separator != "__") return false;
    at = end;
  }
  return true;
}

bool IsTag(absl::string_view text) {
  const auto word = [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  return !text.empty() && text.size() <= kMaxTagBytes && word(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return word(c) || c == '.' || c == '-'; });
}

// "host", "host:port", "[::1]:port".
bool IsRegistry(absl::string_view text) {
  absl::string_view host = text;
  const std::size_t colon = text.rfind(':');
  if (colon != absl::string_view::npos && (text.front() != '[' || text[colon - 1] == ']')) {
    int port = 0;
    if (!absl::SimpleAtoi(text.substr(colon + 1), &port) || port < 1 || port > 65535) return false;
    host = text.substr(0, colon);
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    return std::all_of(host.begin() + 1, host.end() - 1,
                       [](char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)) || c == ':'; });
  return !host.empty() && host.front() != '-' && host.front() != '.' &&
         std::all_of(host.begin(), host.end(),
                     [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-'; });
}

// The first component of a name is a host if it could not be part of a repository, or is "localhost".
bool NamesHost(absl::string_view component) {
  return component == "localhost" || absl::StrContains(component, '.') || absl::StrContains(component, ':') ||
         component != absl::AsciiStrToLower(component);
}

absl::Status Wrong(absl::string_view text, absl::string_view why) {
  return Error(Reason::kInvalidArgument,
               absl::StrCat("'", absl::CHexEscape(text.substr(0, 80)), "' is not the name of an image: ", why,
                            "; write NAME:TAG, e.g. python:3.11 or ghcr.io/team/train:2"));
}

}  // namespace

std::string ImageReference::ToString() const {
  return absl::StrCat(registry, "/", repository, tag.empty() ? "" : ":", tag, digest.empty() ? "" : "@", digest);
}

bool IsRepository(absl::string_view text) {
  if (text.size() > kMaxNameBytes) return false;
  const std::vector<absl::string_view> components = absl::StrSplit(text, '/');
  return std::all_of(components.begin(), components.end(), IsComponent);
}

absl::StatusOr<ImageReference> ParseImageReference(absl::string_view text) {
  ImageReference reference;
  absl::string_view name = text;
  if (const std::size_t at = name.find('@'); at != absl::string_view::npos) {
    reference.digest = std::string(name.substr(at + 1));
    name = name.substr(0, at);
    if (!IsDigest(reference.digest)) return Wrong(text, "a digest is sha256: and 64 lower-case hex digits");
  }
  const std::size_t colon = name.rfind(':');
  if (colon != absl::string_view::npos && !absl::StrContains(name.substr(colon), '/')) {
    reference.tag = std::string(name.substr(colon + 1));
    name = name.substr(0, colon);
    if (!IsTag(reference.tag))
      return Wrong(text,
                   "a tag has at most 128 letters, digits, '_', '.' and '-', and begins with none of the last two");
  }
  if (reference.tag.empty() && reference.digest.empty()) reference.tag = "latest";

  const std::size_t slash = name.find('/');
  if (slash != absl::string_view::npos && NamesHost(name.substr(0, slash))) {
    reference.registry = std::string(name.substr(0, slash));
    name = name.substr(slash + 1);
    if (!IsRegistry(reference.registry)) return Wrong(text, "the part before the first '/' is not a host or HOST:PORT");
    if (reference.registry == "index.docker.io") reference.registry = std::string(kDockerHub);
  } else {
    reference.registry = std::string(kDockerHub);
  }
  reference.repository = std::string(name);
  if (reference.registry == kDockerHub && !name.empty() && !absl::StrContains(name, '/'))
    reference.repository = absl::StrCat("library/", name);
  if (name.size() > kMaxNameBytes) return Wrong(text, "it is longer than 255 characters");
  if (name != absl::AsciiStrToLower(name)) return Wrong(text, "names have no upper-case letters");
  if (!IsRepository(reference.repository))
    return Wrong(text, "its parts consist of lower-case letters and digits, joined by '.', '_', '__' or '-'");
  return reference;
}

}  // namespace riseml::oci
