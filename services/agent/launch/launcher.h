// Prepares the directory of an attempt and starts its processes: `run`, in a container or in a sandbox if the machine
// allows it, and `ship`.
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
#include "services/agent/environment/environment_claims.h"
#include "services/agent/launch/code_source.h"
#include "services/agent/launch/container.h"
#include "services/agent/launch/job_variables.h"
#include "services/agent/launch/podman.h"
#include "services/agent/launch/sandbox.h"
#include "services/agent/launch/secret_source.h"
#include "services/agent/launch/step_policy.h"
#include "services/agent/output/output_volume.h"
#include "services/agent/process/output_pipe.h"
#include "services/agent/process/spawn.h"
#include "services/common/base/mutex.h"
#include "services/common/base/python_versions.h"

namespace riseml::agent {

inline constexpr char kIsolationBubblewrap[] = "bubblewrap";
inline constexpr char kIsolationPodman[] = "podman";
inline constexpr char kIsolationNone[] = "none";

struct LauncherOptions {
  config::v1::NodeConfig config;
  std::string agent;               // path of this program
  std::string job;                 // path of riseml-job
  std::string isolation;           // of jobs that are processes: kIsolationBubblewrap or kIsolationNone
  bool own_network = false;        // each job has its own network; only in a sandbox or container
  Variables environment;           // of the node itself, without passwords (passwords.h)
  const Podman* podman = nullptr;  // for jobs in containers, must outlive the launcher; null: there are none
};

// Chooses how jobs are isolated on this machine: as configured, or for "auto" by a probe. FAILED_PRECONDITION if
// "bubblewrap" is configured and does not work.
absl::StatusOr<std::string> ChooseIsolation(const std::string& configured, const Variables& environment,
                                            const std::string& python);

// Thread-safe; at most one call at a time per directory.
class Launcher {
 public:
  // `code` and `secrets` must outlive this.
  Launcher(LauncherOptions options, CodeSource& code, SecretSource& secrets);

  // Makes the directory of a new attempt in `parent`, completely or not at all. False if it exists already.
  static absl::StatusOr<bool> CreateAttempt(const std::string& parent, const AttemptId& id,
                                            const internal::v1::StartAttemptRequest& start);
  // The same for an attempt that was stopped before its start arrived: the directory has only a journal with the end.
  static absl::StatusOr<bool> CreateTombstone(const std::string& parent, const AttemptId& id,
                                              const internal::v1::AttemptEnded& ended);

  // Fetches the code, or the image with the code, and writes the files that `run` needs. May be called again after an
  // interruption. UNAVAILABLE: try again.
  absl::Status Prepare(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start,
                       std::stop_token stop) const;

  // Called when an attempt has ended: seals the environment that it was to build, or removes the incomplete one.
  absl::Status SettleEnvironment(const AttemptDir& dir, const internal::v1::AttemptEnded& ended) const;

  // Starts `run`, which checks in the journal whether the attempt may begin. Returns the pid of the started process.
  absl::StatusOr<pid_t> StartRun(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start) const;
  // Starts `ship`.
  absl::StatusOr<pid_t> StartShip(const AttemptDir& dir) const;

  // Trims the build steps kept for later builds to their bounds: those of the job's owner, or those of all users.
  void LookAtKeptSteps(const internal::v1::JobTemplate& job, absl::Time now) const { steps_.Trim(WorkOf(job), now); }
  void LookAtAllKeptSteps(absl::Time now) const { steps_.TrimAll(now); }

  // Trims the cache of the job's owner to its bound. No effect if that was done a short while ago.
  void LookAtCache(const internal::v1::JobTemplate& job, absl::Time now) const;

  // Removes what a build of an image leaves beside the layers of its owner. No effect for other attempts.
  void RemoveBuildRoot(const AttemptDir& dir) const;

  // Disk space of the directories that the job writes to. CANCELLED if stopped.
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

  // Isolation of the attempt: kIsolationPodman or that of processes.
  std::string IsolationOf(const internal::v1::StartAttemptRequest& start) const {
    return IsInContainer(start) ? kIsolationPodman : options_.isolation;
  }
  const Podman* podman() const { return options_.podman; }
  // Directory for layers and caches of builds of the job's owner; empty: this node builds no images.
  std::string BuildStorageOf(const internal::v1::JobTemplate& job) const;
  // Directories of jobs whose disks must have room: of attempts, of outputs and of containers.
  std::vector<std::string> WatchedDirectories(const std::string& attempts) const;
  // "NAME=value" in the environment of all processes of an attempt and of no other process. Holds only without a
  // sandbox.
  std::string Cookie(const AttemptDir& dir) const;

 private:
  bool sandboxed() const { return options_.isolation == kIsolationBubblewrap; }
  // True if a job that is a process has a network of its own.
  bool processes_have_network() const { return options_.own_network && sandboxed(); }
  absl::Status FetchCode(const AttemptDir& dir, const internal::v1::JobTemplate& job, std::stop_token stop) const;
  absl::Status PlaceSecrets(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start) const;
  absl::Status WriteRunPlan(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start,
                            const std::string& output) const;
  void DescribeSurroundings(const internal::v1::StartAttemptRequest& start, internal::v1::RunPlan* plan) const;
  // Current path of the environment of the attempt (environment_layout.h).
  static std::string PlaceOfEnvironment(const internal::v1::StartAttemptRequest& start);
  // Directory of the user's environments, and the one in it that jobs write to; empty: unknown.
  std::string UserDirectory(const internal::v1::JobTemplate& job) const;
  std::string WorkOf(const internal::v1::JobTemplate& job) const;
  std::string CacheOf(const internal::v1::StartAttemptRequest& start) const;
  absl::Status PrepareCache(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start) const;
  absl::Status PrepareEnvironment(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start,
                                  const std::stop_token& stop) const;
  absl::StatusOr<bool> CopyPipConfig(const AttemptDir& dir) const;
  SandboxRequest DescribeSandbox(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start) const;

  Interpreter PythonFor(const std::string& image) const;

  // launcher_container.cc: attempts in containers
  bool IsInContainer(const internal::v1::StartAttemptRequest& start) const;
  absl::Status CheckForContainers(const internal::v1::StartAttemptRequest& start) const;
  absl::Status PullImage(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start,
                         const std::stop_token& stop) const;
  absl::Status PrepareBuildRoot(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start) const;
  absl::Status GiveFilesToContainer(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start,
                                    const std::string& output) const;
  absl::StatusOr<Variables> VariablesInContainer(const internal::v1::StartAttemptRequest& start, const JobPaths& paths,
                                                 const JobPorts& ports) const;
  ContainerRequest DescribeContainer(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start) const;
  absl::StatusOr<pid_t> StartContainer(const AttemptDir& dir, const internal::v1::StartAttemptRequest& start,
                                       SpawnRequest request, const UniqueFd& own_log, const OutputEnds& output) const;
  absl::StatusOr<UniqueFd> StartForwarder(const std::vector<int>& ports, const UniqueFd& log) const;
  std::string BuildRootOf(const AttemptDir& dir) const;
  std::vector<int> ForwardedPortsOf(const internal::v1::StartAttemptRequest& start) const;

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
