// Port to the code of projects as layers of images, and its adapter for gitsync.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <semaphore>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/internal/v1/code.grpc.pb.h"
#include "services/common/oci/http.h"

namespace riseml::builder {

// A revision of a project.
struct CodeRevision {
  std::string project_uid;
  std::string commit;  // 40 hex digits
};

// Thread-safe. Errors: NOT_FOUND for the revision, UNAVAILABLE.
class CodeLayers {
 public:
  virtual ~CodeLayers() = default;
  // Returns the layers of a revision, the lowest first.
  virtual absl::StatusOr<std::vector<internal::v1::CodeLayer>> List(const CodeRevision& revision) = 0;
  // Passes the tar archive of a layer on as it comes. INVALID_ARGUMENT for a file that no layer can hold; the error of
  // the sink; CANCELLED after a stop.
  virtual absl::Status Read(const CodeRevision& revision, const internal::v1::CodeLayer& layer,
                            const oci::BlobSink& sink, const std::stop_token& stop) = 0;
};

// Asks gitsync. A list takes 30 s at most, an archive 10 minutes. Eight archives are read at once, as gitsync has
// twelve transfers for all services; further ones wait.
class GitsyncCodeLayers final : public CodeLayers {
 public:
  explicit GitsyncCodeLayers(const std::shared_ptr<grpc::Channel>& channel);
  absl::StatusOr<std::vector<internal::v1::CodeLayer>> List(const CodeRevision& revision) override;
  absl::Status Read(const CodeRevision& revision, const internal::v1::CodeLayer& layer, const oci::BlobSink& sink,
                    const std::stop_token& stop) override;

 private:
  std::unique_ptr<internal::v1::CodeService::Stub> stub_;
  std::counting_semaphore<> transfers_;
};

}  // namespace riseml::builder
