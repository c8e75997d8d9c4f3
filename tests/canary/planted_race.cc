// A gRPC handler with a data race on purpose: two calls at a time count in a plain variable. ThreadSanitizer has to
// report it although gRPC itself is not instrumented and its own frames are suppressed.
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "riseml/v1/user.grpc.pb.h"

namespace {

class RacyUsers final : public riseml::v1::UserService::Service {
 public:
  grpc::Status GetCaller(grpc::ServerContext*, const riseml::v1::GetCallerRequest*, riseml::v1::User*) override {
    ++calls_;
    return grpc::Status::OK;
  }
  int calls() const { return calls_; }

 private:
  int calls_ = 0;
};

void CallOften(int port) {
  auto stub = riseml::v1::UserService::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
  for (int i = 0; i < 200; ++i) {
    grpc::ClientContext context;
    riseml::v1::User user;
    stub->GetCaller(&context, riseml::v1::GetCallerRequest(), &user);
  }
}

}  // namespace

int main() {
  RacyUsers users;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&users);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 4; ++i) clients.emplace_back(CallOften, port);
  }
  server->Shutdown();
  std::printf("calls: %d\n", users.calls());
}
