// Opens many watches of experiments and holds them until standard input ends. Used by bench/watches.
//
//   open_watches COUNT EXPERIMENT…   e.g. open_watches 1000 users/admin/experiments/3
//
// Talks to the installation of the current context; prints "open" when every watch has received all there is.
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <cstdlib>
#include <latch>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "riseml/v1/cluster.grpc.pb.h"
#include "riseml/v1/experiment.grpc.pb.h"
#include "services/common/base/id.h"
#include "services/common/client_config/client_config.h"
#include "services/common/rpc/channel.h"

namespace riseml {
namespace {

// One watch; reads and forgets.
class OpenWatch final : public grpc::ClientReadReactor<v1::WatchExperimentResponse> {
 public:
  OpenWatch(v1::ExperimentService::Stub& stub, const std::string& key, const std::string& experiment,
            std::latch& synced, std::latch& done)
      : synced_(synced), done_(done) {
    rpc::Prepare(context_, absl::InfiniteDuration(), NewUuid(), key);
    request_.set_name(experiment);
    stub.async()->WatchExperiment(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (response_.has_synced()) synced_.count_down();
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    if (status.error_code() != grpc::CANCELLED) {
      std::fprintf(stderr, "a watch ended: %s\n", status.error_message().c_str());
      std::_Exit(1);  // the rest would measure fewer watches than were asked for
    }
    done_.count_down();
  }

 private:
  std::latch& synced_;
  std::latch& done_;
  grpc::ClientContext context_;
  v1::WatchExperimentRequest request_;
  v1::WatchExperimentResponse response_;
};

int Run(int count, const std::vector<std::string>& experiments) {
  const auto path = ClientConfigPath();
  const auto config = path.ok() ? LoadClientConfig(*path, "") : path.status();
  if (!config.ok()) {
    std::fprintf(stderr, "%s\n", std::string(config.status().message()).c_str());
    return 1;
  }
  const auto channel = rpc::UserChannel(config->api_address, config->ca_pem);
  // The edge lets few calls at once through of a key that it has not seen; `riseml` begins with this call too.
  const auto clusters = v1::ClusterService::NewStub(channel);
  const auto known = rpc::Invoke<v1::ClusterInfo>(
      [&](auto* context, auto* out) { return clusters->GetClusterInfo(context, v1::GetClusterInfoRequest(), out); },
      {.timeout = absl::Seconds(10), .credential = config->api_key});
  if (!known.ok()) {
    std::fprintf(stderr, "%s\n", std::string(known.status().message()).c_str());
    return 1;
  }
  const auto stub = v1::ExperimentService::NewStub(channel);
  std::latch synced(count), done(count);
  std::vector<std::unique_ptr<OpenWatch>> watches;
  for (int i = 0; i < count; ++i)
    watches.push_back(
        std::make_unique<OpenWatch>(*stub, config->api_key, experiments[i % experiments.size()], synced, done));
  synced.wait();
  std::puts("open");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  for (const auto& watch : watches) watch->Cancel();
  done.wait();
  return 0;
}

}  // namespace
}  // namespace riseml

int main(int argc, char** argv) {
  int count = 0;
  if (argc < 3 || !absl::SimpleAtoi(argv[1], &count) || count < 1) {
    std::fprintf(stderr, "usage: open_watches COUNT EXPERIMENT…\n");
    return 1;
  }
  return riseml::Run(count, {argv + 2, argv + argc});
}
