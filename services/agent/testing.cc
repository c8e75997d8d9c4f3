#include "services/agent/testing.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/agent/launch/launcher.h"
#include "services/common/base/clock.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/certificates.h"
#include "services/common/rpc/status.h"

namespace riseml::agent::testing {

TemporaryDirectory::TemporaryDirectory() {
  char pattern[] = "/tmp/riseml-agent-XXXXXX";
  path_ = mkdtemp(pattern);
}

TemporaryDirectory::~TemporaryDirectory() { EXPECT_TRUE(RemoveTree(path_).ok()) << path_; }

bool Eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 6000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return holds();
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void WriteAll(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

ChildProcess::ChildProcess(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                           const std::string& output_path) {
  const auto pointers = [](const std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
    out.push_back(nullptr);
    return out;
  };
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, output_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  EXPECT_EQ(posix_spawn(&pid_, argv[0].c_str(), &actions, nullptr, pointers(argv).data(), pointers(environment).data()),
            0);
  posix_spawn_file_actions_destroy(&actions);
}

void ChildProcess::Signal(int signal) const {
  if (pid_ > 0) kill(pid_, signal);
}

int ChildProcess::Wait() {
  int status = -1;
  EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
  pid_ = -1;
  return status;
}

ChildProcess::~ChildProcess() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

namespace {

std::string TokenOf(const grpc::ServerContext& context) {
  const auto it = context.client_metadata().find(rpc::kAuthorizationKey);
  return it == context.client_metadata().end() ? "" : std::string(it->second.data(), it->second.size()).substr(7);
}

absl::StatusOr<std::string> BytesOf(const v1::LogBlock& block) {
  if (Crc32c(block.data()) != block.crc()) return Error(Reason::kInvalidArgument, "crc");
  if (block.coding() == v1::LogBlock::PLAIN) return block.data();
  std::string raw(block.raw_length(), '\0');
  const std::size_t n = ZSTD_decompress(raw.data(), raw.size(), block.data().data(), block.data().size());
  if (ZSTD_isError(n) != 0 || n != raw.size()) return Error(Reason::kInvalidArgument, "zstd");
  return raw;
}

}  // namespace

absl::Status FakeLogService::Store(const std::string& token, const v1::IngestRequest& request,
                                   v1::IngestResponse& response) {
  MutexLock lock(mu_);
  FakeStream& stream = streams_[token];
  const auto end = static_cast<std::int64_t>(stream.bytes.size());
  if (request.has_end()) {
    if (request.end().final_offset() != end) return Error(Reason::kInvalidArgument, "end does not fit");
    stream.final_offset = end;
    response.set_complete(true);
  } else if (request.has_block()) {
    const v1::LogBlock& block = request.block();
    ++stream.blocks;
    if (block.times_size() < 2 || block.times(0) != 0) ++stream.untimed_blocks;
    const std::int64_t known = end - block.first_offset();
    if (known < 0) return Error(Reason::kInvalidArgument, "bytes are missing before the block");
    if (known < block.raw_length()) {
      std::string bytes(block.raw_length(), '?');
      if (block.coding() == v1::LogBlock::GAP) {
        stream.gaps.emplace_back(end, block.raw_length() - known);
      } else {
        absl::StatusOr<std::string> decoded = BytesOf(block);
        if (!decoded.ok()) return decoded.status();
        bytes = *std::move(decoded);
      }
      stream.bytes += bytes.substr(known);
    }
  }
  response.set_expected_offset(static_cast<std::int64_t>(stream.bytes.size()));
  return absl::OkStatus();
}

grpc::Status FakeLogService::Ingest(grpc::ServerContext* context,
                                    grpc::ServerReaderWriter<v1::IngestResponse, v1::IngestRequest>* stream) {
  const std::string token = TokenOf(*context);
  int break_after = 0;
  bool lose_answers = false;
  {
    MutexLock lock(mu_);
    ++calls_;
    if (!refusal_.ok()) return refusal_;
    break_after = break_after_;
    lose_answers = lose_answers_;
  }
  int blocks = 0;
  v1::IngestRequest request;
  while (stream->Read(&request)) {
    if (request.has_block()) ++blocks;
    const bool breaks = break_after > 0 && blocks > break_after;
    if (breaks && !lose_answers) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "broken before it was stored");
    v1::IngestResponse response;
    if (const absl::Status status = Store(token, request, response); !status.ok()) return rpc::ToGrpc(status);
    if (breaks) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "broken after it was stored");
    stream->Write(response);
    if (response.complete()) return grpc::Status::OK;
  }
  return grpc::Status::OK;
}

FakeStream FakeLogService::Of(const std::string& token) {
  MutexLock lock(mu_);
  return streams_[token];
}

std::int64_t FakeLogService::calls() {
  MutexLock lock(mu_);
  return calls_;
}

void FakeLogService::BreakCallsAfter(int blocks, bool lose_answers) {
  MutexLock lock(mu_);
  break_after_ = blocks;
  lose_answers_ = lose_answers;
}

void FakeLogService::Refuse(const grpc::Status& status) {
  MutexLock lock(mu_);
  refusal_ = status;
}

void FakeLogService::CutTo(const std::string& token, std::int64_t offset) {
  MutexLock lock(mu_);
  streams_[token].bytes.resize(offset);
}

grpc::Status FakeJobService::ReportResults(grpc::ServerContext* context, const v1::ReportResultsRequest* request,
                                           v1::ReportResultsResponse*) {
  MutexLock lock(mu_);
  if (!refusal_.ok()) return refusal_;
  const std::string token = TokenOf(*context);
  if (request->sequence() <= sequences_[token]) return grpc::Status::OK;
  sequences_[token] = request->sequence();
  for (const auto& [name, value] : request->results().fields()) {
    std::string json;
    EXPECT_TRUE(google::protobuf::util::MessageToJsonString(value, &json).ok());
    results_[token][name] = json;
  }
  return grpc::Status::OK;
}

std::map<std::string, std::string> FakeJobService::Of(const std::string& token) {
  MutexLock lock(mu_);
  return results_[token];
}

void FakeJobService::Refuse(const grpc::Status& status) {
  MutexLock lock(mu_);
  refusal_ = status;
}

grpc::Status FakeCodeService::GetCode(grpc::ServerContext*, const internal::v1::GetCodeRequest* request,
                                      grpc::ServerWriter<internal::v1::GetCodeResponse>* writer) {
  std::string archive;
  {
    MutexLock lock(mu_);
    ++calls_;
    if (!refusal_.ok()) return refusal_;
    released_.wait(mu_, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return held_ != request->commit(); });
    const auto it = archives_.find(request->commit());
    if (it == archives_.end()) return rpc::ToGrpc(Error(Reason::kNotFound, "no such commit"));
    archive = it->second;
  }
  for (std::size_t at = 0; at < archive.size(); at += 1000) {  // pieces that do not match the blocks of the archive
    internal::v1::GetCodeResponse response;
    response.set_data(archive.substr(at, 1000));
    if (!writer->Write(response)) break;
  }
  return grpc::Status::OK;
}

void FakeCodeService::Put(const std::string& commit, const std::string& tar) {
  MutexLock lock(mu_);
  archives_[commit] = tar;
}

void FakeCodeService::Refuse(const grpc::Status& status) {
  MutexLock lock(mu_);
  refusal_ = status;
}

void FakeCodeService::Hold(const std::string& commit) {
  {
    MutexLock lock(mu_);
    held_ = commit;
  }
  released_.notify_all();
}

std::int64_t FakeCodeService::calls() {
  MutexLock lock(mu_);
  return calls_;
}

class FakeSuite::AnyToken final : public rpc::Authenticator {
 public:
  absl::StatusOr<internal::v1::Caller> Authenticate(absl::string_view) override {
    internal::v1::Caller caller;
    caller.set_kind(internal::v1::Caller::JOB);
    return caller;
  }
};

FakeSuite::FakeSuite() : authenticator_(std::make_shared<AnyToken>()) {
  EXPECT_TRUE(MakeDirectories(certificates()).ok());
  EXPECT_TRUE(rpc::WriteCertificates(certificates(), {"api", "agent", "gitsync", "loghandler", "scheduler"},
                                     SystemClock().Now())
                  .ok());
  StartUserListener();
  StartInternalListener();
}

std::string FakeSuite::ca_pem() const { return ReadAll(certificates() + "/ca.crt"); }

std::unique_ptr<rpc::Server> FakeSuite::Serve(rpc::ListenerKind kind, int port, std::vector<grpc::Service*> services) {
  rpc::ServerOptions options;
  options.kind = kind;
  options.listener.set_address(Address(port));
  options.listener.set_certificate_file(certificates() + "/api.crt");
  options.listener.set_key_file(certificates() + "/api.key");
  options.listener.set_client_ca_file(certificates() + "/ca.crt");
  options.authenticator = authenticator_.get();
  options.services = std::move(services);
  absl::StatusOr<std::unique_ptr<rpc::Server>> server = Error(Reason::kUnavailable, "not tried");
  // A port may take a moment to become free after it was closed.
  EXPECT_TRUE(Eventually([&] {
    server = rpc::Server::Start(options);
    return server.ok();
  })) << server.status();
  return *std::move(server);
}

void FakeSuite::StopUserListener() { user_.reset(); }
void FakeSuite::StartUserListener() {
  user_ = Serve(rpc::ListenerKind::kUser, user_port_, {&logs, &jobs});
  if (user_port_ == 0) user_port_ = user_->port();
}
void FakeSuite::StopInternalListener() { internal_.reset(); }
void FakeSuite::StartInternalListener() {
  internal_ = Serve(rpc::ListenerKind::kInternal, internal_port_, {&code, &removals_});
  if (internal_port_ == 0) internal_port_ = internal_->port();
}

}  // namespace riseml::agent::testing
