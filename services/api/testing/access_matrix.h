// Calls every RPC of the product, from its descriptor: for tests of who may call what.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "services/api/testing/api_fixture.h"

namespace riseml::api {

// Methods of all services of all proto files of the product.
std::vector<const google::protobuf::MethodDescriptor*> Methods();

// Tests of one suite share an api.
class AccessMatrix : public testing::Test {
 protected:
  static void SetUpTestSuite() { api_ = new ApiFixture(); }
  static void TearDownTestSuite() {
    delete api_;
    api_ = nullptr;
  }

  // Calls any unary or server-streaming method; returns the status. The first answer of a stream is enough.
  static grpc::Status Call(const std::shared_ptr<grpc::Channel>& channel,
                           const google::protobuf::MethodDescriptor& method, const google::protobuf::Message& request,
                           const std::multimap<std::string, std::string>& metadata);
  // The same on the user listener.
  static grpc::Status Call(const google::protobuf::MethodDescriptor& method, const google::protobuf::Message& request,
                           const std::string& credential);

  // A request of the method whose fields that hold a resource name hold `name` of the fitting kind.
  static std::unique_ptr<google::protobuf::Message> RequestFor(const google::protobuf::MethodDescriptor& method,
                                                               const std::string& owner, const std::string& number);

  static inline ApiFixture* api_ = nullptr;
};

}  // namespace riseml::api
