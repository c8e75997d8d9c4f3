// The unit that times of builds are divided by: a small program that uses gRPC as every service does. A slow machine
// compiles it slowly too.
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

int main() {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  return server == nullptr;
}
