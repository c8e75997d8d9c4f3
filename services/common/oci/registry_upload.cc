// Uploads of blobs to a registry.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/oci/registry.h"

namespace riseml::oci {
namespace {

constexpr int kMaxUploads = 3;  // times that one blob is sent

std::string WithDigest(const std::string& location, const std::string& digest) {
  return absl::StrCat(location, absl::StrContains(location, '?') ? "&" : "?", "digest=", EscapeQuery(digest));
}

// Part of a source.
BlobSource Part(const BlobSource& whole, std::int64_t first, std::int64_t size) {
  return {size,
          [&whole, first](std::int64_t offset, std::int64_t length) { return whole.read(first + offset, length); }};
}

// Number of bytes that the registry has of an upload: "Range: 0-99" means 100.
std::optional<std::int64_t> ReceivedOf(const HttpAnswer& answer) {
  const std::string range = answer.Header("range");
  const std::size_t dash = range.rfind('-');
  std::int64_t last = 0;
  if (dash == std::string::npos || !absl::SimpleAtoi(range.substr(dash + 1), &last) || last < 0) return std::nullopt;
  return last + 1;
}

}  // namespace

absl::StatusOr<bool> Registry::MountBlob(const std::string& repository, const std::string& digest,
                                         const std::string& from, const std::stop_token& stop) {
  // One token for both repositories, or the registry sees no right to read the source.
  const RegistryCall call{absl::StrCat("share the blob ", digest, " of ", from, " with ", repository),
                          {PullScope(from), PushScope(repository)}};
  const std::string url = caller_.UrlOf(
      repository, absl::StrCat("blobs/uploads/?mount=", EscapeQuery(digest), "&from=", EscapeQuery(from)));
  RISEML_ASSIGN_OR_RETURN(const HttpAnswer answer, caller_.Perform(call, {.method = "POST", .url = url, .stop = stop}));
  if (answer.status == 201) return true;
  if (answer.status == 202) {
    // The registry began an upload instead. It is ended, as uploads without an end take space there for days.
    const absl::StatusOr<std::string> location = caller_.Locate(call, url, answer.Header("location"));
    if (location.ok()) (void)caller_.Perform(call, {.method = "DELETE", .url = *location, .stop = stop});
    return false;
  }
  // Some registries refuse names of sources that they do not like; an upload still works.
  if (answer.status == 400 || answer.status == 404 || answer.status == 405) return false;
  return caller_.Failed(call, answer);
}

absl::Status Registry::PutBlob(const std::string& repository, const std::string& digest, const BlobSource& source,
                               const std::stop_token& stop) {
  const RegistryCall call{absl::StrCat("upload the blob ", repository, "@", digest), {PushScope(repository)}};
  absl::Status status;
  // An upload that broke off leaves a session of unknown state: it begins anew.
  for (int i = 0; i < kMaxUploads; ++i) {
    status = Upload(call, repository, digest, source, stop);
    if (!absl::IsUnavailable(status)) return status;
  }
  return status;
}

absl::StatusOr<std::string> Registry::BeginUpload(const RegistryCall& call, const std::string& repository,
                                                  const std::stop_token& stop) {
  const std::string url = caller_.UrlOf(repository, "blobs/uploads/");
  RISEML_ASSIGN_OR_RETURN(const HttpAnswer answer, caller_.Perform(call, {.method = "POST", .url = url, .stop = stop}));
  if (answer.status != 202) return caller_.Failed(call, answer);
  return caller_.Locate(call, url, answer.Header("location"));
}

absl::Status Registry::Upload(const RegistryCall& call, const std::string& repository, const std::string& digest,
                              const BlobSource& source, const std::stop_token& stop) {
  RISEML_ASSIGN_OR_RETURN(std::string location, BeginUpload(call, repository, stop));
  const std::int64_t chunk = caller_.options().chunk_bytes;
  const bool chunked = chunk > 0 && source.size > chunk;
  if (chunked) {
    RISEML_ASSIGN_OR_RETURN(location, UploadChunks(call, std::move(location), source, stop));
  }
  const RegistryCall once = [&] {
    RegistryCall copy = call;
    static constexpr std::int64_t kBegun = 1;
    copy.passed_on = &kBegun;  // the session is used up by one try
    return copy;
  }();
  RISEML_ASSIGN_OR_RETURN(const HttpAnswer answer,
                          caller_.Perform(once, {.method = "PUT",
                                                 .url = WithDigest(location, digest),
                                                 .headers = {{"Content-Type", "application/octet-stream"}},
                                                 .body = chunked ? nullptr : &source,
                                                 .stop = stop}));
  return answer.status == 201 ? absl::OkStatus() : caller_.Failed(call, answer);
}

absl::StatusOr<std::string> Registry::UploadChunks(const RegistryCall& call, std::string location,
                                                   const BlobSource& source, const std::stop_token& stop) {
  int refused = 0;
  for (std::int64_t sent = 0; sent < source.size;) {
    const BlobSource part = Part(source, sent, std::min(caller_.options().chunk_bytes, source.size - sent));
    RISEML_ASSIGN_OR_RETURN(
        const HttpAnswer answer,
        caller_.Perform(call, {.method = "PATCH",
                               .url = location,
                               .headers = {{"Content-Type", "application/octet-stream"},
                                           {"Content-Range", absl::StrCat(sent, "-", sent + part.size - 1)}},
                               .body = &part,
                               .stop = stop}));
    if (answer.status != 202 && answer.status != 416) return caller_.Failed(call, answer);
    // 416: a try whose answer was lost may have arrived. The registry says how much it has.
    if (answer.status == 416 && ++refused > kMaxUploads) return caller_.Failed(call, answer);
    const std::optional<std::int64_t> received = ReceivedOf(answer);
    if (answer.status == 416 && !received) return caller_.Failed(call, answer);
    sent = std::clamp<std::int64_t>(received.value_or(sent + part.size), 0, source.size);
    if (const std::string next = answer.Header("location"); !next.empty()) {
      RISEML_ASSIGN_OR_RETURN(location, caller_.Locate(call, location, next));
    }
  }
  return location;
}

}  // namespace riseml::oci
