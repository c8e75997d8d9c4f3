#include "services/supervisor/stack/probe.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/oci/curl_http.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/status.h"
#include "services/supervisor/install/edge.h"

namespace riseml::supervisor {
namespace {

constexpr char kHealthMethod[] = "/grpc.health.v1.Health/Check";
constexpr int kHttpServerError = 500;
constexpr std::size_t kMostHttpQuestions = 4;       // at a time
constexpr absl::string_view kServing = "\x08\x01";  // HealthCheckResponse{status: SERVING}

std::string Content(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return "";
  std::string out;
  for (const grpc::Slice& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address, ListenerRole role, const ProbeKeys& keys) {
  if (role != ListenerRole::kInternal) return rpc::UserChannel(address, keys.ca_pem);
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = keys.ca_pem;
  tls.pem_cert_chain = keys.certificate_pem;
  tls.pem_private_key = keys.key_pem;
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::SslCredentials(tls), arguments);
}

// Without a token the registry answers 401, and builder knows no such path: an answer is enough.
absl::Status AskByHttp(const std::string& address, absl::Duration timeout) {
  oci::CurlOptions options;
  options.private_hosts = {address};
  options.connect_timeout = timeout;
  options.small_call_timeout = timeout;
  oci::HttpRequest request;
  request.method = "GET";
  request.url = absl::StrCat("http://", address, "/v2/");
  RISEML_ASSIGN_OR_RETURN(const oci::HttpAnswer answer, oci::CurlHttp(options).Perform(request));
  if (answer.status < kHttpServerError) return absl::OkStatus();
  return Error(Reason::kUnavailable, absl::StrCat("answers with HTTP status ", answer.status));
}

}  // namespace

// Data of one question until it is answered.
struct Prober::Question {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<grpc::GenericStub> stub;
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  grpc::Status status;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> call;
  bool answer_counts = true;  // false: the status OK is enough
  std::function<void(absl::Status)> done;
};

absl::StatusOr<ProbeKeys> LoadProbeKeys(const config::v1::ClientTls& tls) {
  ProbeKeys keys;
  RISEML_ASSIGN_OR_RETURN(keys.ca_pem, ReadFile(tls.ca_file(), 1 << 20));
  RISEML_ASSIGN_OR_RETURN(keys.certificate_pem, ReadFile(tls.certificate_file(), 1 << 20));
  RISEML_ASSIGN_OR_RETURN(keys.key_pem, ReadFile(tls.key_file(), 1 << 20));
  return keys;
}

Prober::Prober(ProbeKeys keys) : keys_(std::move(keys)), http_(kMostHttpQuestions), listener_([this] { Listen(); }) {}

Prober::~Prober() { queue_.Shutdown(); }

void Prober::Listen() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
    const std::unique_ptr<Question> question(static_cast<Question*>(tag));
    absl::Status result = rpc::FromGrpc(question->status);
    if (result.ok() && question->answer_counts && Content(question->response) != kServing)
      result = Error(Reason::kUnavailable, "says it does not serve");
    question->done(std::move(result));
  }
}

void Prober::Ask(const std::string& address, ListenerRole role, absl::Duration timeout,
                 std::function<void(absl::Status)> done) {
  if (role == ListenerRole::kImages)
    return http_.Run([address, timeout, done = std::move(done)] { done(AskByHttp(address, timeout)); });
  auto question = std::make_unique<Question>();
  question->channel = ChannelTo(address, role, keys_);
  question->stub = std::make_unique<grpc::GenericStub>(question->channel);
  question->answer_counts = role != ListenerRole::kEdge;
  question->done = std::move(done);
  rpc::Prepare(question->context, timeout, "health");
  const grpc::Slice empty(nullptr, 0);
  const grpc::ByteBuffer request(&empty, 1);
  const char* const method = role == ListenerRole::kEdge ? kEdgeCheckMethod : kHealthMethod;
  question->call = question->stub->PrepareUnaryCall(&question->context, method, request, &queue_);
  question->call->StartCall();
  Question* tag = question.release();
  tag->call->Finish(&tag->response, &tag->status, tag);
}

}  // namespace riseml::supervisor
