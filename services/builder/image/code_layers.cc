#include "services/builder/image/code_layers.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/status.h"

namespace riseml::builder {
namespace {

constexpr absl::Duration kListTimeout = absl::Seconds(30);
constexpr absl::Duration kReadTimeout = absl::Minutes(10);
constexpr std::ptrdiff_t kTransfers = 8;

// Holds one of the transfers.
class Transfer {
 public:
  explicit Transfer(std::counting_semaphore<>& free) : free_(free) { free_.acquire(); }
  ~Transfer() { free_.release(); }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

 private:
  std::counting_semaphore<>& free_;
};

}  // namespace

GitsyncCodeLayers::GitsyncCodeLayers(const std::shared_ptr<grpc::Channel>& channel)
    : stub_(internal::v1::CodeService::NewStub(channel)), transfers_(kTransfers) {}

absl::StatusOr<std::vector<internal::v1::CodeLayer>> GitsyncCodeLayers::List(const CodeRevision& revision) {
  internal::v1::ListCodeLayersRequest request;
  request.set_project_uid(revision.project_uid);
  request.set_commit(revision.commit);
  const auto response = rpc::Invoke<internal::v1::ListCodeLayersResponse>(
      [&](auto* context, auto* answer) { return stub_->ListCodeLayers(context, request, answer); },
      {.timeout = kListTimeout});
  if (!response.ok()) return While(absl::StrCat("list the layers of commit ", revision.commit), response.status());
  return std::vector<internal::v1::CodeLayer>(response->layers().begin(), response->layers().end());
}

absl::Status GitsyncCodeLayers::Read(const CodeRevision& revision, const internal::v1::CodeLayer& layer,
                                     const oci::BlobSink& sink, const std::stop_token& stop) {
  const Transfer transfer(transfers_);
  internal::v1::GetCodeLayerRequest request;
  request.set_project_uid(revision.project_uid);
  request.set_commit(revision.commit);
  *request.mutable_layer() = layer;
  grpc::ClientContext context;
  rpc::Prepare(context, kReadTimeout, NewUuid());
  const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  const auto reader = stub_->GetCodeLayer(&context, request);
  absl::Status taken;
  internal::v1::GetCodeLayerResponse response;
  while (taken.ok() && reader->Read(&response)) taken = sink(response.data());
  if (!taken.ok()) context.TryCancel();
  const absl::Status ended = rpc::FromGrpc(reader->Finish());
  if (!taken.ok()) return taken;
  return While(absl::StrCat("read the code of commit ", revision.commit), ended);
}

}  // namespace riseml::builder
