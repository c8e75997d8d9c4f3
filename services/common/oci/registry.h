// Client of one registry, by the OCI distribution specification 1.1.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/clock.h"
#include "services/common/oci/http.h"
#include "services/common/oci/manifest.h"
#include "services/common/oci/registry_caller.h"

namespace riseml::oci {

// A manifest or an index as the registry stores it.
struct StoredManifest {
  Descriptor descriptor;
  std::string bytes;
};

// Thread-safe. Names of repositories must be valid (IsRepository); a reference is a tag or a digest.
//
// Every call is tried again while the registry is busy or unreachable. Errors of all of them: UNAVAILABLE after the
// last try, UNAUTHENTICATED, PERMISSION_DENIED, CANCELLED after a stop, INVALID_ARGUMENT when an answer breaks the
// specification, e.g. content whose digest is another one. Messages name the registry and the repository.
class Registry {
 public:
  // Both must outlive this object.
  Registry(HttpTransport& http, const Clock& clock, RegistryOptions options);

  const std::string& host() const { return caller_.options().host; }

  // NOT_FOUND if there is none.
  absl::StatusOr<Descriptor> FindManifest(const std::string& repository, const std::string& reference,
                                          const std::stop_token& stop = {});
  absl::StatusOr<StoredManifest> GetManifest(const std::string& repository, const std::string& reference,
                                             const std::stop_token& stop = {});
  absl::StatusOr<Descriptor> PutManifest(const std::string& repository, const std::string& reference,
                                         absl::string_view media_type, absl::string_view bytes,
                                         const std::stop_token& stop = {});
  // Absent ones are no error.
  absl::Status DeleteManifest(const std::string& repository, const std::string& digest,
                              const std::stop_token& stop = {});
  // At most `most` repositories, in the registry's order.
  absl::StatusOr<std::vector<std::string>> ListRepositories(std::size_t most, const std::stop_token& stop = {});
  // At most `most` tags, in the registry's order; none for an absent repository.
  absl::StatusOr<std::vector<std::string>> ListTags(const std::string& repository, std::size_t most,
                                                    const std::stop_token& stop = {});

  absl::StatusOr<bool> HasBlob(const std::string& repository, const std::string& digest,
                               const std::stop_token& stop = {});
  // Returns the content of a small blob, checked against its digest. LIMIT_EXCEEDED over kMaxDocumentBytes.
  absl::StatusOr<std::string> GetBlob(const std::string& repository, const Descriptor& blob,
                                      const std::stop_token& stop = {});
  // Passes the content on as it comes. A download that breaks off is an error and is not begun anew, since the sink has
  // had its first part. INVALID_ARGUMENT at the end if size or digest differ.
  absl::Status ReadBlob(const std::string& repository, const Descriptor& blob, const BlobSink& sink,
                        const std::stop_token& stop = {});

  // Makes a blob of another repository of this registry part of `repository`. Returns false if the registry does not do
  // that for this blob: it has to be uploaded.
  absl::StatusOr<bool> MountBlob(const std::string& repository, const std::string& digest, const std::string& from,
                                 const std::stop_token& stop = {});
  // Uploads a blob. `digest` is that of `source`.
  absl::Status PutBlob(const std::string& repository, const std::string& digest, const BlobSource& source,
                       const std::stop_token& stop = {});

 private:
  // Follows the pages of a list from `url` on. `field` names the array of a page.
  absl::StatusOr<std::vector<std::string>> ListNames(const RegistryCall& call, std::string url, absl::string_view field,
                                                     std::size_t most, const std::stop_token& stop);
  absl::StatusOr<std::string> BeginUpload(const RegistryCall& call, const std::string& repository,
                                          const std::stop_token& stop);
  absl::Status Upload(const RegistryCall& call, const std::string& repository, const std::string& digest,
                      const BlobSource& source, const std::stop_token& stop);
  absl::StatusOr<std::string> UploadChunks(const RegistryCall& call, std::string location, const BlobSource& source,
                                           const std::stop_token& stop);

  RegistryCaller caller_;
};

}  // namespace riseml::oci
