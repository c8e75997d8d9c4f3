// The public services of a cluster in this process, over TLS. Tests set their content and faults.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/testing/fake_content.h"
#include "services/common/rpc/server.h"

namespace riseml::cli {

inline constexpr char kFakeKey[] = "rml_fake_key";

class FakeCluster {
 public:
  // `dir` gets the certificates; ca.crt is the one clients need.
  explicit FakeCluster(const std::string& dir);
  ~FakeCluster();

  FakeContent& content() { return content_; }
  std::string address() const;
  // Address of log server 1. Everything else is at address().
  std::string other_logs_address() const;
  // Ends log server 1 for good.
  void StopOtherLogs();
  std::string ca_pem() const { return ca_pem_; }

 private:
  class Authenticator;
  FakeContent content_;
  std::unique_ptr<Authenticator> authenticator_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<grpc::Service> other_logs_;
  std::unique_ptr<rpc::Server> other_server_;
  std::string ca_pem_;
};

}  // namespace riseml::cli
