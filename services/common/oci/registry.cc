#include "services/common/oci/registry.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/oci/digest.h"
#include "services/common/oci/json.h"
#include "services/common/oci/reference.h"

namespace riseml::oci {
namespace {

constexpr int kMaxPages = 1'000;
constexpr std::int64_t kPageBytes = 1 << 20;

const std::vector<HttpHeader> kAccept = {
    {"Accept", absl::StrCat(kOciIndex, ", ", kOciManifest, ", ", kDockerIndex, ", ", kDockerManifest)}};

// Calls name manifests in paths; nothing but tags and digests may get there.
std::string ManifestPath(const std::string& reference) { return absl::StrCat("manifests/", EscapeQuery(reference)); }

std::string Named(const std::string& repository, const std::string& reference) {
  return absl::StrCat(repository, IsDigest(reference) ? "@" : ":", reference);
}

}  // namespace

Registry::Registry(HttpTransport& http, const Clock& clock, RegistryOptions options)
    : caller_(http, clock, std::move(options)) {}

absl::StatusOr<Descriptor> Registry::FindManifest(const std::string& repository, const std::string& reference,
                                                  const std::stop_token& stop) {
  const RegistryCall call{absl::StrCat("find the manifest ", Named(repository, reference)), {PullScope(repository)}};
  RISEML_ASSIGN_OR_RETURN(const HttpAnswer answer,
                          caller_.Perform(call, {.method = "HEAD",
                                                 .url = caller_.UrlOf(repository, ManifestPath(reference)),
                                                 .headers = kAccept,
                                                 .stop = stop}));
  if (answer.status != 200) return caller_.Failed(call, answer);
  Descriptor descriptor{answer.Header("content-type"), answer.Header("docker-content-digest")};
  if (descriptor.digest.empty() && IsDigest(reference)) descriptor.digest = reference;
  if (!absl::SimpleAtoi(answer.Header("content-length"), &descriptor.size) || !IsDigest(descriptor.digest)) {
    // Some registries leave these headers out.
    RISEML_ASSIGN_OR_RETURN(const StoredManifest stored, GetManifest(repository, reference, stop));
    return stored.descriptor;
  }
  if (IsDigest(reference) && descriptor.digest != reference)
    return caller_.Broken(call, absl::StrCat("the registry has ", descriptor.digest, " in its place"));
  return descriptor;
}

absl::StatusOr<StoredManifest> Registry::GetManifest(const std::string& repository, const std::string& reference,
                                                     const std::stop_token& stop) {
  const RegistryCall call{absl::StrCat("read the manifest ", Named(repository, reference)), {PullScope(repository)}};
  RISEML_ASSIGN_OR_RETURN(HttpAnswer answer,
                          caller_.Perform(call, {.method = "GET",
                                                 .url = caller_.UrlOf(repository, ManifestPath(reference)),
                                                 .headers = kAccept,
                                                 .max_bytes = kMaxDocumentBytes,
                                                 .stop = stop}));
  if (answer.status != 200) return caller_.Failed(call, answer);
  StoredManifest stored;
  stored.descriptor = {answer.Header("content-type"), DigestOf(answer.body),
                       static_cast<std::int64_t>(answer.body.size())};
  const std::string promised = IsDigest(reference) ? reference : answer.Header("docker-content-digest");
  if (!promised.empty() && promised != stored.descriptor.digest)
    return caller_.Broken(
        call, absl::StrCat("its content has the digest ", stored.descriptor.digest, " instead of ", promised));
  stored.bytes = std::move(answer.body);
  return stored;
}

absl::StatusOr<Descriptor> Registry::PutManifest(const std::string& repository, const std::string& reference,
                                                 absl::string_view media_type, absl::string_view bytes,
                                                 const std::stop_token& stop) {
  const RegistryCall call{absl::StrCat("write the manifest ", Named(repository, reference)), {PushScope(repository)}};
  const BlobSource source = SourceOf(bytes);
  RISEML_ASSIGN_OR_RETURN(const HttpAnswer answer,
                          caller_.Perform(call, {.method = "PUT",
                                                 .url = caller_.UrlOf(repository, ManifestPath(reference)),
                                                 .headers = {{"Content-Type", std::string(media_type)}},
                                                 .body = &source,
                                                 .stop = stop}));
  if (answer.status != 201) return caller_.Failed(call, answer);
  return Descriptor{std::string(media_type), DigestOf(bytes), static_cast<std::int64_t>(bytes.size())};
}

absl::Status Registry::DeleteManifest(const std::string& repository, const std::string& digest,
                                      const std::stop_token& stop) {
  const RegistryCall call{absl::StrCat("delete the manifest ", Named(repository, digest)),
                          {absl::StrCat("repository:", repository, ":pull,push,delete")}};
  RISEML_ASSIGN_OR_RETURN(
      const HttpAnswer answer,
      caller_.Perform(call,
                      {.method = "DELETE", .url = caller_.UrlOf(repository, ManifestPath(digest)), .stop = stop}));
  const bool gone = answer.status == 200 || answer.status == 202 || answer.status == 204 || answer.status == 404;
  return gone ? absl::OkStatus() : caller_.Failed(call, answer);
}

absl::StatusOr<std::vector<std::string>> Registry::ListRepositories(std::size_t most, const std::stop_token& stop) {
  return ListNames({"list the repositories", {kCatalogScope}}, caller_.UrlOf("", "_catalog?n=1000"), "repositories",
                   most, stop);
}

absl::StatusOr<std::vector<std::string>> Registry::ListTags(const std::string& repository, std::size_t most,
                                                            const std::stop_token& stop) {
  return ListNames({absl::StrCat("list the tags ", repository), {PullScope(repository)}},
                   caller_.UrlOf(repository, "tags/list?n=1000"), "tags", most, stop);
}

absl::StatusOr<std::vector<std::string>> Registry::ListNames(const RegistryCall& call, std::string url,
                                                             absl::string_view field, std::size_t most,
                                                             const std::stop_token& stop) {
  std::vector<std::string> names;
  for (int page = 0; !url.empty() && page < kMaxPages; ++page) {
    RISEML_ASSIGN_OR_RETURN(
        const HttpAnswer answer,
        caller_.Perform(call, {.method = "GET", .url = url, .max_bytes = kPageBytes, .stop = stop}));
    if (answer.status == 404) return names;
    if (answer.status != 200) return caller_.Failed(call, answer);
    const std::optional<nlohmann::json> json = ParseObject(answer.body);
    if (!json) return caller_.Broken(call, "the answer is not a JSON object");
    if (const nlohmann::json* items = ArrayAt(*json, std::string(field).c_str()))
      for (const nlohmann::json& item : *items) {
        if (names.size() == most) return names;
        if (item.is_string()) names.push_back(item.get<std::string>());
      }
    // Link: </v2/NAME/tags/list?last=…&n=…>; rel="next"
    const std::string link = answer.Header("link");
    const std::size_t begin = link.find('<'), end = link.find('>');
    if (begin == std::string::npos || end == std::string::npos || end < begin) return names;
    RISEML_ASSIGN_OR_RETURN(url, caller_.Locate(call, url, link.substr(begin + 1, end - begin - 1)));
  }
  return names;
}

absl::StatusOr<bool> Registry::HasBlob(const std::string& repository, const std::string& digest,
                                       const std::stop_token& stop) {
  const RegistryCall call{absl::StrCat("find the blob ", Named(repository, digest)), {PullScope(repository)}};
  RISEML_ASSIGN_OR_RETURN(
      const HttpAnswer answer,
      caller_.Perform(
          call, {.method = "HEAD", .url = caller_.UrlOf(repository, absl::StrCat("blobs/", digest)), .stop = stop}));
  if (answer.status == 404) return false;
  if (answer.status != 200) return caller_.Failed(call, answer);
  return true;
}

absl::StatusOr<std::string> Registry::GetBlob(const std::string& repository, const Descriptor& blob,
                                              const std::stop_token& stop) {
  if (blob.size > kMaxDocumentBytes)
    return Error(Reason::kLimitExceeded,
                 absl::StrCat("the blob ", Named(repository, blob.digest), " is larger than 4 MiB"));
  std::string content;
  const BlobSink sink = [&content](absl::string_view bytes) {
    content.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  };
  RISEML_RETURN_IF_ERROR(ReadBlob(repository, blob, sink, stop));
  return content;
}

absl::Status Registry::ReadBlob(const std::string& repository, const Descriptor& blob, const BlobSink& sink,
                                const std::stop_token& stop) {
  std::int64_t passed_on = 0;
  const RegistryCall call{
      absl::StrCat("read the blob ", Named(repository, blob.digest)), {PullScope(repository)}, &passed_on};
  Digester digester;
  const BlobSink checked = [&](absl::string_view bytes) -> absl::Status {
    passed_on += static_cast<std::int64_t>(bytes.size());
    if (passed_on > blob.size)
      return caller_.Broken(call, absl::StrCat("it is larger than the ", blob.size, " bytes that its manifest says"));
    digester.Update(bytes);
    return sink(bytes);
  };
  RISEML_ASSIGN_OR_RETURN(const HttpAnswer answer,
                          caller_.Perform(call, {.method = "GET",
                                                 .url = caller_.UrlOf(repository, absl::StrCat("blobs/", blob.digest)),
                                                 .sink = checked,
                                                 .stop = stop}));
  if (answer.status != 200) return caller_.Failed(call, answer);
  if (passed_on != blob.size || digester.Finish() != blob.digest)
    return caller_.Broken(call, "its content has another size or digest than its manifest says");
  return absl::OkStatus();
}

}  // namespace riseml::oci
