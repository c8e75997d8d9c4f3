// Directory of an attempt: DATA_DIR/attempts/<job uid>.<attempt>/. Only `control`, `code` and `tmp` are ever shown to
// the job; everything that the node and `ship` rely on lies outside of them.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/id.h"

namespace riseml::agent {

// "<job uid>.<attempt>", its key and directory name.
std::string Print(const AttemptId& id);
// nullopt for anything else.
std::optional<AttemptId> ParseAttemptId(absl::string_view text);

class AttemptDir {
 public:
  explicit AttemptDir(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  std::string start() const { return path_ + "/start.pb"; }              // StartAttemptRequest; absent: a tombstone
  std::string stop() const { return path_ + "/stop"; }                   // exists: a stop was requested
  std::string end() const { return path_ + "/end.pb"; }                  // AttemptEnded; exists: decided by the node
  std::string forget() const { return path_ + "/forget"; }               // exists: api has the outcome
  std::string launch() const { return path_ + "/launch.pb"; }            // LaunchRecord
  std::string journal() const { return path_ + "/journal"; }             // JournalRecords
  std::string output_size() const { return path_ + "/output_size.pb"; }  // OutputSize; absent: not measured yet
  std::string log() const { return path_ + "/log"; }                     // output of the job
  std::string output() const { return path_ + "/output"; }               // pipe that the job writes its output to
  std::string results() const { return path_ + "/results"; }             // one JSON object per line
  std::string ship_plan() const { return path_ + "/ship.pb"; }           // ShipPlan
  std::string shipped() const { return path_ + "/shipped.pb"; }          // ShipState
  std::string ship_lock() const { return path_ + "/ship.lock"; }
  std::string ship_log() const { return path_ + "/ship.log"; }        // log of `ship` itself
  std::string run_log() const { return path_ + "/run.log"; }          // log of `run` itself and of the sandbox
  std::string resolv_conf() const { return path_ + "/resolv.conf"; }  // only if the job has its own network
  std::string control() const { return path_ + "/control"; }          // the job's /run/riseml
  std::string run_plan() const { return control() + "/run.pb"; }
  std::string secrets() const { return path_ + "/secrets.pb"; }  // AttemptSecrets; absent: none
  std::string run_secrets() const { return control() + "/secrets.pb"; }
  std::string socket() const { return control() + "/socket"; }
  std::string pip_config() const { return control() + "/pip.conf"; }
  std::string code() const { return path_ + "/code"; }
  std::string temporary() const { return path_ + "/tmp"; }

 private:
  std::string path_;
};

// Reads a small file of an attempt into a message. NOT_FOUND when absent, DATA_LOSS when it is damaged. Symbolic links
// are refused.
template <class Message>
absl::StatusOr<Message> ReadMessage(const std::string& path);

// Replaces the file durably; mode 0600, since messages may hold secrets.
template <class Message>
absl::Status WriteMessage(const std::string& path, const Message& message);

// Creates an empty marker file durably.
absl::Status Mark(const std::string& path);

namespace internal_files {
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);
absl::Status WriteSecret(const std::string& path, const std::string& bytes);
absl::Status Damaged(const std::string& path);
}  // namespace internal_files

template <class Message>
absl::StatusOr<Message> ReadMessage(const std::string& path) {
  const absl::StatusOr<std::string> bytes = internal_files::ReadSmallFile(path);
  if (!bytes.ok()) return bytes.status();
  Message message;
  if (!message.ParseFromString(*bytes)) return internal_files::Damaged(path);
  return message;
}

template <class Message>
absl::Status WriteMessage(const std::string& path, const Message& message) {
  return internal_files::WriteSecret(path, message.SerializeAsString());
}

}  // namespace riseml::agent
