#include "services/api/testing/access_matrix.h"

#include <google/protobuf/dynamic_message.h>
#include <grpcpp/generic/generic_stub.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/node_agent.pb.h"
#include "riseml/v1/cluster.pb.h"
#include "riseml/v1/file.pb.h"
#include "riseml/v1/log.pb.h"
#include "riseml/v1/node.pb.h"
#include "riseml/v1/project.pb.h"
#include "services/common/base/files/file.h"
#include "services/common/rpc/call.h"

namespace riseml::api {
namespace {

using google::protobuf::Message;
using google::protobuf::MethodDescriptor;

bool Await(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return ok;
}

}  // namespace

std::vector<const MethodDescriptor*> Methods() {
  // Files api itself does not use are linked only when something of theirs is named.
  for (const auto* used : {v1::Limits::descriptor(), v1::LogEnd::descriptor(), internal::v1::AttemptRef::descriptor()})
    EXPECT_NE(used, nullptr);
  std::vector<const MethodDescriptor*> methods;
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  const std::filesystem::path protos = std::filesystem::path(RISEML_SOURCE_DIR) / "protos";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(protos / "riseml")) {
    const std::string file = std::filesystem::relative(entry.path(), protos).string();
    const auto text = entry.is_regular_file() ? ReadFile(entry.path().string(), 1 << 20) : std::string();
    EXPECT_TRUE(text.ok()) << text.status();
    if (!absl::EndsWith(file, ".proto") || !absl::StrContains(*text, "\nservice ")) continue;
    const auto* descriptor = pool->FindFileByName(file);
    EXPECT_NE(descriptor, nullptr) << file;
    for (int s = 0; descriptor != nullptr && s < descriptor->service_count(); ++s)
      for (int m = 0; m < descriptor->service(s)->method_count(); ++m)
        methods.push_back(descriptor->service(s)->method(m));
  }
  return methods;
}

grpc::Status AccessMatrix::Call(const std::shared_ptr<grpc::Channel>& channel, const MethodDescriptor& method,
                                const Message& request, const std::multimap<std::string, std::string>& metadata) {
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(channel);
  grpc::ClientContext context;
  rpc::Prepare(context, absl::Seconds(10), "matrix");
  for (const auto& [key, value] : metadata) context.AddMetadata(key, value);
  const grpc::Slice slice(request.SerializeAsString());
  const grpc::ByteBuffer buffer(&slice, 1);
  grpc::CompletionQueue queue;
  const std::string path = absl::StrCat("/", method.service()->full_name(), "/", method.name());
  const auto call = stub.PrepareCall(&context, path, &queue);
  grpc::ByteBuffer response;
  grpc::Status status;
  call->StartCall(nullptr);
  Await(queue);
  call->WriteLast(buffer, grpc::WriteOptions(), nullptr);
  Await(queue);
  call->Read(&response, nullptr);
  if (Await(queue) && method.server_streaming()) context.TryCancel();
  call->Finish(&status, nullptr);
  Await(queue);
  return status;
}

grpc::Status AccessMatrix::Call(const MethodDescriptor& method, const Message& request, const std::string& credential) {
  std::multimap<std::string, std::string> metadata;
  if (!credential.empty()) metadata.emplace(rpc::kAuthorizationKey, absl::StrCat("Bearer ", credential));
  return Call(api_->UserChannel(), method, request, metadata);
}

std::unique_ptr<Message> AccessMatrix::RequestFor(const MethodDescriptor& method, const std::string& owner,
                                                  const std::string& number) {
  std::unique_ptr<Message> request(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(method.input_type())->New());
  const auto* reflection = request->GetReflection();
  const std::string user = "users/" + owner, project = user + "/projects/digits",
                    experiment = user + "/experiments/" + number;
  const std::string service = method.service()->name();
  const auto name_for = [&](const std::string& field) -> std::string {
    if (service == "UserService") return user;
    if (service == "ProjectService") return field == "parent" ? user : project;
    if (service == "RevisionService")
      return field == "parent" ? project : project + "/revisions/" + std::string(40, number == "1" ? 'a' : 'c');
    if (service == "RegistryService") return field == "parent" ? user : user + "/registries/ghcr.io";
    if (service == "SecretService") return field == "parent" ? user : user + "/secrets/KEY";
    if (service == "JobService") return field == "parent" ? experiment : experiment + "/jobs/train";
    if (method.name() == "CreateExperiment") return user;
    return experiment;
  };
  for (int i = 0; i < method.input_type()->field_count(); ++i) {
    const auto* field = method.input_type()->field(i);
    if (field->name() == "name" || field->name() == "parent")
      reflection->SetString(request.get(), field, name_for(field->name()));
    if (field->name() == "key") reflection->SetString(request.get(), field, std::string(64, 'a'));
  }
  if (auto* create = dynamic_cast<v1::CreateExperimentRequest*>(request.get())) {
    create->set_project("digits");
    create->set_revision(std::string(40, 'a'));
    create->set_config_text(kSingle);
  }
  return request;
}

}  // namespace riseml::api
