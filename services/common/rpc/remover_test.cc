// The remover against an api that lists what it is told.
#include "services/common/rpc/remover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <condition_variable>
#include <filesystem>
#include <map>
#include <set>
#include <vector>

#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/certificates.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/server.h"

namespace riseml::rpc {
namespace {

using ::testing::ElementsAre;

class FakeRemovals final : public internal::v1::RemovalService::Service {
 public:
  grpc::Status ListRemovals(grpc::ServerContext* context, const internal::v1::ListRemovalsRequest* request,
                            internal::v1::ListRemovalsResponse* response) override {
    return Unary(context, "ListRemovals", [&](const Call&) {
      MutexLock lock(mu_);
      for (const std::string& item : items_[request->kind()]) response->add_items(item);
      return absl::OkStatus();
    });
  }
  grpc::Status ReportRemoved(grpc::ServerContext* context, const internal::v1::ReportRemovedRequest* request,
                             internal::v1::ReportRemovedResponse*) override {
    return Unary(context, "ReportRemoved", [&](const Call&) {
      MutexLock lock(mu_);
      for (const std::string& item : request->items()) items_[request->kind()].erase(item);
      changed_.notify_all();
      return absl::OkStatus();
    });
  }
  void Put(internal::v1::ListRemovalsRequest::Kind kind, const std::string& item) {
    MutexLock lock(mu_);
    items_[kind].insert(item);
  }
  void WaitUntilEmpty(internal::v1::ListRemovalsRequest::Kind kind) {
    MutexLock lock(mu_);
    changed_.wait(mu_, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return items_[kind].empty(); });
  }
  std::set<std::string> Items(internal::v1::ListRemovalsRequest::Kind kind) {
    MutexLock lock(mu_);
    return items_[kind];
  }

 private:
  Mutex mu_;
  std::condition_variable_any changed_;
  std::map<internal::v1::ListRemovalsRequest::Kind, std::set<std::string>> items_ ABSL_GUARDED_BY(mu_);
};

TEST(Remover, RemovesItsKindReportsAndTriesAgainWhatFailed) {
  char pattern[] = "/tmp/riseml-remover-XXXXXX";
  const std::string dir = mkdtemp(pattern);
  ASSERT_TRUE(WriteCertificates(dir, {"api", "loghandler"}, SystemClock().Now()).ok());
  FakeRemovals removals;
  removals.Put(internal::v1::ListRemovalsRequest::LOG, "a");
  removals.Put(internal::v1::ListRemovalsRequest::LOG, "b");
  removals.Put(internal::v1::ListRemovalsRequest::OUTPUT, "c");
  ServerOptions options;
  options.kind = ListenerKind::kInternal;
  options.listener.set_address("127.0.0.1:0");
  options.listener.set_certificate_file(dir + "/api.crt");
  options.listener.set_key_file(dir + "/api.key");
  options.listener.set_client_ca_file(dir + "/ca.crt");
  options.services = {&removals};
  const auto server = Server::Start(std::move(options));
  ASSERT_TRUE(server.ok()) << server.status();
  config::v1::ClientTls tls;
  tls.set_ca_file(dir + "/ca.crt");
  tls.set_certificate_file(dir + "/loghandler.crt");
  tls.set_key_file(dir + "/loghandler.key");
  const auto channel = ServiceChannel("127.0.0.1:" + std::to_string((*server)->port()), tls);
  ASSERT_TRUE(channel.ok()) << channel.status();

  std::vector<std::string> asked;  // of the remover's thread until it has ended
  {
    const Remover remover({.kind = internal::v1::ListRemovalsRequest::LOG,
                           .pause = absl::Milliseconds(1),
                           .remove = [&](const std::string& item) -> absl::Status {
                             asked.push_back(item);
                             if (asked.size() == 1) return absl::ResourceExhaustedError("busy");
                             return absl::OkStatus();
                           }},
                          *channel);
    removals.WaitUntilEmpty(internal::v1::ListRemovalsRequest::LOG);
  }
  EXPECT_THAT(asked, ElementsAre("a", "b", "a"));
  EXPECT_THAT(removals.Items(internal::v1::ListRemovalsRequest::OUTPUT), ElementsAre("c")) << "another store's";
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace riseml::rpc
