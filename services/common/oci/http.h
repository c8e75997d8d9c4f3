// Port to HTTP. Tests script its answers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::oci {

// Content that can be read more than once, since an upload may have to begin anew.
struct BlobSource {
  std::int64_t size = 0;
  // Returns the bytes from `offset` on, at most `length` and at least one.
  std::function<absl::StatusOr<std::string>(std::int64_t offset, std::int64_t length)> read;
};

// A source of bytes in memory. `bytes` must outlive it.
BlobSource SourceOf(absl::string_view bytes);
// The first `size` bytes of an open file, which must stay open.
BlobSource SourceOfFile(int fd, std::int64_t size);

// Takes the next bytes of a download.
using BlobSink = std::function<absl::Status(absl::string_view)>;

struct HttpHeader {
  std::string name, value;
};

struct HttpRequest {
  std::string method;  // GET, HEAD, POST, PUT, PATCH, DELETE
  std::string url;
  std::vector<HttpHeader> headers;
  const BlobSource* body = nullptr;   // null: none
  std::int64_t max_bytes = 64 << 10;  // of an answer that is kept in memory
  BlobSink sink;                      // if set, takes the body of an answer with status 200
  std::stop_token stop;
};

struct HttpAnswer {
  int status = 0;
  std::vector<HttpHeader> headers;  // names in lower case
  std::string body;

  // Value of the first header of this name, which is in lower case; empty: none.
  std::string Header(absl::string_view name) const;
};

// Thread-safe. Does not follow redirects.
class HttpTransport {
 public:
  virtual ~HttpTransport() = default;
  // Returns an answer of any status. Errors: UNAVAILABLE if there is no connection, it broke, or nothing moved for too
  // long; PERMISSION_DENIED for an address that may not be called; LIMIT_EXCEEDED for an answer over `max_bytes`;
  // CANCELLED after a stop; the error of the source or the sink.
  virtual absl::StatusOr<HttpAnswer> Perform(const HttpRequest& request) = 0;
};

struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // with its port if one is given
  std::string path;    // with the query; begins with "/"
};

// Parses an absolute URL. INVALID_ARGUMENT for other schemes, for user names in URLs and control characters.
absl::StatusOr<Url> ParseUrl(absl::string_view text);

// Text for the query of a URL, with everything but letters, digits and "-._~:/" escaped.
std::string EscapeQuery(absl::string_view text);

}  // namespace riseml::oci
