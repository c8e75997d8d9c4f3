// Test support for the agent: temporary directories, waiting for conditions, and fakes of gitsync, loghandler and api
// over real TLS.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "riseml/internal/v1/attempt_files.pb.h"
#include "riseml/internal/v1/code.grpc.pb.h"
#include "riseml/v1/job.grpc.pb.h"
#include "riseml/v1/log.grpc.pb.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/common/archive/testing.h"
#include "services/common/base/mutex.h"
#include "services/common/rpc/server.h"
#include "services/common/testing/no_removals.h"

namespace riseml::agent::testing {

// A directory below /tmp, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Waits until the predicate holds; false after 60 s.
bool Eventually(const std::function<bool()>& holds);

std::string ReadAll(const std::string& path);  // empty when there is no such file
void WriteAll(const std::string& path, const std::string& text);

// A program that runs as our child. The destructor kills it if it still runs.
class ChildProcess {
 public:
  // Standard output and error are appended to `output_path`.
  ChildProcess(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
               const std::string& output_path);
  ~ChildProcess();
  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  int Wait();  // returns the wait status; call it once

 private:
  pid_t pid_ = -1;
};

// State of a log stream of the fake loghandler.
struct FakeStream {
  std::string bytes;                                        // with '?' for bytes of gaps
  std::vector<std::pair<std::int64_t, std::int64_t>> gaps;  // first offset, length
  std::int64_t final_offset = -1;
  std::int64_t blocks = 0;
  std::int64_t untimed_blocks = 0;
};

// LogService that behaves like loghandler: stores bytes that continue the stream, drops repeated bytes, and answers
// each message. Tests can request faults.
class FakeLogService final : public v1::LogService::Service {
 public:
  grpc::Status Ingest(grpc::ServerContext* context,
                      grpc::ServerReaderWriter<v1::IngestResponse, v1::IngestRequest>* stream) override;

  FakeStream Of(const std::string& token);
  std::int64_t calls();
  // Breaks every call after this many blocks; 0: never. With `lose_answers`, the last block before the break is stored
  // but not answered.
  void BreakCallsAfter(int blocks, bool lose_answers);
  // Refuses calls with this status; OK: accepts them.
  void Refuse(const grpc::Status& status);
  // Forgets everything after `offset`, as after a crash without fsync.
  void CutTo(const std::string& token, std::int64_t offset);

 private:
  absl::Status Store(const std::string& token, const v1::IngestRequest& request, v1::IngestResponse& response);

  Mutex mu_;
  std::map<std::string, FakeStream> streams_ ABSL_GUARDED_BY(mu_);
  std::int64_t calls_ ABSL_GUARDED_BY(mu_) = 0;
  int break_after_ ABSL_GUARDED_BY(mu_) = 0;
  bool lose_answers_ ABSL_GUARDED_BY(mu_) = false;
  grpc::Status refusal_ ABSL_GUARDED_BY(mu_);
};

// JobService.ReportResults that behaves like api: accepts reports by sequence number.
class FakeJobService final : public v1::JobService::Service {
 public:
  grpc::Status ReportResults(grpc::ServerContext* context, const v1::ReportResultsRequest* request,
                             v1::ReportResultsResponse* response) override;
  std::map<std::string, std::string> Of(const std::string& token);  // values as JSON
  void Refuse(const grpc::Status& status);

 private:
  Mutex mu_;
  std::map<std::string, std::map<std::string, std::string>> results_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::int64_t> sequences_ ABSL_GUARDED_BY(mu_);
  grpc::Status refusal_ ABSL_GUARDED_BY(mu_);
};

// CodeService with one commit: archives by commit id.
class FakeCodeService final : public internal::v1::CodeService::Service {
 public:
  grpc::Status GetCode(grpc::ServerContext* context, const internal::v1::GetCodeRequest* request,
                       grpc::ServerWriter<internal::v1::GetCodeResponse>* writer) override;
  void Put(const std::string& commit, const std::string& tar);
  void Refuse(const grpc::Status& status);
  // Makes requests for this commit wait; "": no commit is held.
  void Hold(const std::string& commit);
  std::int64_t calls();

 private:
  Mutex mu_;
  std::condition_variable_any released_;
  std::string held_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::string> archives_ ABSL_GUARDED_BY(mu_);
  grpc::Status refusal_ ABSL_GUARDED_BY(mu_);
  std::int64_t calls_ ABSL_GUARDED_BY(mu_) = 0;
};

// The three fake services with certificates. User listeners accept every token. A listener that was stopped restarts at
// the same port.
class FakeSuite {
 public:
  FakeSuite();

  FakeLogService logs;
  FakeJobService jobs;
  FakeCodeService code;

  std::string certificates() const { return directory_ / "certificates"; }
  std::string ca_pem() const;
  std::string user_address() const { return Address(user_port_); }
  std::string internal_address() const { return Address(internal_port_); }
  void StopUserListener();
  void StartUserListener();
  void StopInternalListener();
  void StartInternalListener();

 private:
  class AnyToken;
  static std::string Address(int port) { return "127.0.0.1:" + std::to_string(port); }
  std::unique_ptr<rpc::Server> Serve(rpc::ListenerKind kind, int port, std::vector<grpc::Service*> services);

  TemporaryDirectory directory_;
  fixtures::NoRemovals removals_;
  std::shared_ptr<AnyToken> authenticator_;
  int user_port_ = 0, internal_port_ = 0;
  std::unique_ptr<rpc::Server> user_, internal_;
};

}  // namespace riseml::agent::testing
