#include <functional>
#include <optional>
#include <utility>

#include "riseml/internal/v1/code.grpc.pb.h"
#include "services/agent/launch/code_source.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/status.h"

namespace riseml::agent {
namespace {

constexpr int kAheadBytes = 1 << 20;  // unpacking is slower than the network
constexpr absl::Duration kLongestFetch = absl::Minutes(30);

// One call, cancelled with its stop token or when the reader is dropped.
class Fetch {
 public:
  Fetch(internal::v1::CodeService::Stub& stub, const std::string& project_uid, const std::string& commit,
        std::stop_token stop)
      : cancel_(stop, [this] { context_.TryCancel(); }) {
    internal::v1::GetCodeRequest request;
    request.set_project_uid(project_uid);
    request.set_commit(commit);
    rpc::Prepare(context_, kLongestFetch, NewUuid());
    reader_ = stub.GetCode(&context_, request);
  }
  ~Fetch() {
    if (finished_) return;
    context_.TryCancel();
    (void)reader_->Finish();  // cancelled: the answer does not matter
  }

  absl::StatusOr<std::string> Next() {
    internal::v1::GetCodeResponse response;
    while (!finished_ && reader_->Read(&response))
      if (!response.data().empty()) return std::move(*response.mutable_data());
    if (!finished_) {
      finished_ = true;
      status_ = rpc::FromGrpc(reader_->Finish());
    }
    RISEML_RETURN_IF_ERROR(While("fetch the code", status_));
    return std::string();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<internal::v1::GetCodeResponse>> reader_;
  bool finished_ = false;
  absl::Status status_;
  std::stop_callback<std::function<void()>> cancel_;  // must be last: destroyed before the members it uses
};

class GitsyncCodeSource final : public CodeSource {
 public:
  explicit GitsyncCodeSource(std::shared_ptr<grpc::Channel> channel)
      : stub_(internal::v1::CodeService::NewStub(channel)) {}

  absl::StatusOr<ChunkReader> Open(const std::string& project_uid, const std::string& commit,
                                   std::stop_token stop) override {
    auto fetch = std::make_shared<Fetch>(*stub_, project_uid, commit, std::move(stop));
    return ChunkReader([fetch] { return fetch->Next(); });
  }

 private:
  const std::unique_ptr<internal::v1::CodeService::Stub> stub_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CodeSource>> MakeGitsyncCodeSource(const std::string& address,
                                                                  const config::v1::ClientTls& tls) {
  RISEML_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, rpc::ServiceChannel(address, tls, kAheadBytes));
  return std::unique_ptr<CodeSource>(std::make_unique<GitsyncCodeSource>(channel));
}

}  // namespace riseml::agent
