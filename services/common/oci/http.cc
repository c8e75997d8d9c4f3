#include "services/common/oci/http.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/common/base/status.h"

namespace riseml::oci {
namespace {

constexpr std::int64_t kMaxReadBytes = 1 << 20;

}  // namespace

BlobSource SourceOf(absl::string_view bytes) {
  return {static_cast<std::int64_t>(bytes.size()),
          [bytes](std::int64_t offset, std::int64_t length) -> absl::StatusOr<std::string> {
            return std::string(bytes.substr(static_cast<std::size_t>(offset), static_cast<std::size_t>(length)));
          }};
}

std::string HttpAnswer::Header(absl::string_view name) const {
  const auto found = std::find_if(headers.begin(), headers.end(), [&](const HttpHeader& h) { return h.name == name; });
  return found == headers.end() ? "" : found->value;
}

BlobSource SourceOfFile(int fd, std::int64_t size) {
  return {size, [fd](std::int64_t offset, std::int64_t length) -> absl::StatusOr<std::string> {
            std::string bytes(static_cast<std::size_t>(std::min(length, kMaxReadBytes)), '\0');
            const ssize_t got = pread(fd, bytes.data(), bytes.size(), offset);
            if (got < 0) return ErrnoError(errno, "read a temporary file");
            if (got == 0) return absl::DataLossError("a temporary file is shorter than it was");
            bytes.resize(static_cast<std::size_t>(got));
            return bytes;
          }};
}

absl::StatusOr<Url> ParseUrl(absl::string_view text) {
  const auto wrong = [&](absl::string_view why) {
    return Error(Reason::kInvalidArgument, absl::StrCat("not a URL that can be called (", why, ")"));
  };
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' ' || c >= 0x7F; }))
    return wrong("it has spaces or control characters");
  Url url;
  for (const absl::string_view scheme : {"http", "https"})
    if (absl::StartsWithIgnoreCase(text, absl::StrCat(scheme, "://"))) url.scheme = std::string(scheme);
  if (url.scheme.empty()) return wrong("it is neither http nor https");
  text.remove_prefix(url.scheme.size() + 3);
  const std::size_t end = text.find_first_of("/?#");
  url.host = absl::AsciiStrToLower(text.substr(0, end));
  if (url.host.empty() || absl::StrContains(url.host, '@')) return wrong("it has no host, or a user name");
  url.path = end == absl::string_view::npos ? "/" : std::string(text.substr(end));
  if (url.path.front() != '/') url.path.insert(0, "/");
  return url;
}

std::string EscapeQuery(absl::string_view text) {
  std::string out;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-._~:/", c))
      out.push_back(c);
    else
      absl::StrAppendFormat(&out, "%%%02X", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace riseml::oci
