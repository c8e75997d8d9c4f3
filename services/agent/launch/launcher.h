// Makes an attempt's directory ready and starts its processes, `run` (in a sandbox where one can be made) and `ship`.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/config/v1/agent.pb.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "riseml/internal/v1/node_agent.pb.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/agent/launch/code_source.h"
#include "services/agent/launch/environment_claims.h"
#include "services/agent/launch/job_variables.h"
#include "services/agent/launch/sandbox.h"
#include "services/agent/launch/secret_source.h"
#include "services/agent/launch/step_policy.h"
#include "services/agent/output/output_volume.h"
#include "services/common/base/mutex.h"
#include "services/common/base/python_versions.h"

namespace riseml::agent {

inline constexpr char kIsolationBubblewrap[] = "bubblewrap";
inline constexpr char kIsolationNone[] = "none";

struct LauncherOptions {
  config::v1::NodeConfig config;
  std::string agent;         // path of this program
  std::string isolation;     // kIsolationBubblewrap or kIsolationNone
  bool own_network = false;  // jobs have a network of their own; only in a sandbox
  Variables environment;     // of the node itself, without passwords (passwords.h)
};

// Chooses how jobs are kept apart on this machine: the configured isolation, "auto" decided by a probe.
// FAILED_PRECONDITION when "bubblewrap" was asked for and does not work.
absl::StatusOr<std::string> ChooseIsolation(const std::string& configured, const Variables& environment,
                                            const std::string& python);

// Thread-safe; one call at a time for a directory.
class Launcher {
 public:
  // Both outlive this.
  Launcher(LauncherOptions options, CodeSource& code, SecretSource& secrets);

  // Makes a new attempt's directory in `parent`, whole or not at all; false when it was there before.
  static absl::StatusOr<bool> CreateAttempt(const std::string& parent, const AttemptId& id,
                                            const internal::v1::StartAttemptRequest& start);
  // The same for an attempt that was stopped before it came: only a journal with its end.
  static absl::StatusOr<bool> CreateTombstone(const std::string& parent, const AttemptId& id,
                                              const internal::v1::AttemptEnded& ended);

  // Fetches the code and writes what `run` needs. May be done again after it was broken off. UNAVAILABLE: try again.
  absl::Status Prepare(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start,
                       std::stop_token stop) const;

  // Seals the environment that the attempt, which has ended, was to make, or removes what it left of one.
  absl::Status SettleEnvironment(const AttemptDir& dir, const internal::v1::AttemptEnded& ended) const;

  // Starts `run`; whether it may really run is decided by the journal. Returns the pid of what was started.
  absl::StatusOr<pid_t> StartRun(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start) const;
  // Starts `ship`.
  absl::StatusOr<pid_t> StartShip(const AttemptDir& dir) const;

  // Brings what builds keep for later ones within its bounds: that of the job's owner, that of all users.
  void LookAtKeptSteps(const internal::v1::JobTemplate& job, absl::Time now) const { steps_.Trim(WorkOf(job), now); }
  void LookAtAllKeptSteps(absl::Time now) const { steps_.TrimAll(now); }

  // Brings the cache of the job's owner within its bound. Does nothing when that was done a short while ago.
  void LookAtCache(const internal::v1::JobTemplate& job, absl::Time now) const;

  // Disk space of the directories that the job writes to. CANCELLED when stopped.
  absl::StatusOr<internal::v1::OutputSize> MeasureOutput(const internal::v1::JobTemplate& job,
                                                         const std::stop_token& stop) const {
    return outputs_.Measure(job, stop);
  }
  // Directories that an attempt may fill: its own, and those it shares with other jobs of its user.
  struct Places {
    std::vector<std::string> own;
    std::vector<std::string> shared;
  };
  Places PlacesOf(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start) const;

  bool own_network() const { return options_.own_network; }
  const std::string& isolation() const { return options_.isolation; }
  const std::string& output_directory() const { return options_.config.volume_output_dir(); }
  // "NAME=value" that all processes of an attempt have in their environment, and no other process; only without a
  // sandbox.
  std::string Cookie(const AttemptDir& dir) const;

 private:
  bool sandboxed() const { return options_.isolation == kIsolationBubblewrap; }
  absl::Status FetchCode(const AttemptDir& dir, const internal::v1::JobTemplate& job, std::stop_token stop) const;
  absl::Status PlaceSecrets(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start) const;
  absl::Status WriteRunPlan(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start,
                            const std::string& output) const;
  // Where the environment of the attempt lies now (environment_layout.h).
  static std::string PlaceOfEnvironment(const internal::v1::StartAttemptRequest& start);
  // Directory of the user's environments, and the one in it that jobs write to; empty: unknown.
  std::string UserDirectory(const internal::v1::JobTemplate& job) const;
  std::string WorkOf(const internal::v1::JobTemplate& job) const;
  std::string CacheOf(const internal::v1::JobTemplate& job) const;
  absl::StatusOr<bool> CopyPipConfig(const AttemptDir& dir) const;
  SandboxRequest DescribeSandbox(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start) const;

  Interpreter PythonFor(const std::string& image) const;

  const LauncherOptions options_;
  CodeSource& code_;
  SecretSource& secrets_;
  const SystemView system_;
  const OutputVolume outputs_;
  const StepPolicy steps_;
  mutable Mutex shares_;  // held while ports and processors are chosen
  mutable std::map<std::string, absl::Time> cache_looked_ ABSL_GUARDED_BY(shares_);
  mutable EnvironmentClaims claims_;
  mutable Interpreters interpreters_;
};

}  // namespace riseml::agent
