// Podman on this machine, with a storage of images and containers that only this node uses.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/node_agent.pb.h"
#include "services/agent/launch/job_variables.h"
#include "services/agent/launch/podman_settings.h"
#include "services/agent/launch/sandbox.h"
#include "services/agent/process/program.h"

namespace riseml::agent {

// An image of the storage.
struct HeldImage {
  std::string reference;  // with its digest
  absl::Time last_used;   // when a job last asked for it
};

// Thread-safe. Each call runs the program `podman` and blocks until it ends.
class Podman {
 public:
  // Prepares the directory, which is made if it is absent. Of a node with root, all accounts may search it and its
  // parents afterwards, since containers have accounts of their own. FAILED_PRECONDITION if Podman is not installed or
  // does not work.
  static absl::StatusOr<std::unique_ptr<Podman>> Open(const std::string& storage_dir);

  // Runs `job`, the path of riseml-job, in a container with the programs of the machine. FAILED_PRECONDITION, with what
  // Podman says, if that does not work.
  absl::Status Probe(const std::string& job, const SystemView& system) const;

  // Downloads an image unless the storage has it. `auth_file` is written for the download and removed afterwards.
  // NOT_FOUND if the registry does not have it, PERMISSION_DENIED if it refuses the credentials, UNAVAILABLE if it
  // cannot be reached, DISK_FULL, CANCELLED.
  absl::Status Pull(const internal::v1::ContainerImage& image, const std::string& auth_file,
                    const std::stop_token& stop) const;
  // Variables that an image of the storage sets.
  absl::StatusOr<Variables> EnvironmentOf(const std::string& reference, const std::stop_token& stop) const;

  // Images of the storage. One that no Pull has asked for counts as used at the first call. And removal of one: an
  // image that a container uses stays, FAILED_PRECONDITION.
  absl::StatusOr<std::vector<HeldImage>> ListImages(absl::Time now, const std::stop_token& stop) const;
  absl::Status RemoveImage(const std::string& reference, const std::stop_token& stop) const;

  // Removes a directory whose files belong to accounts of containers.
  absl::Status RemoveTreeOfContainers(const std::string& path, const std::stop_token& stop) const;

  // Names of all containers, also of those that have ended; and removal of one, with its processes.
  absl::StatusOr<std::vector<std::string>> ListContainers(const std::stop_token& stop) const;
  absl::Status RemoveContainer(const std::string& name, const std::stop_token& stop) const;

  // Directory with the file system of an attempt that builds an image. It lies here, as containers cannot reach the
  // directory of the attempt.
  std::string BuildRootOf(const std::string& attempt) const { return In("builds/" + attempt); }
  // Names of the attempts that have such a directory.
  std::vector<std::string> ListBuildRoots() const;

  const std::string& storage_dir() const { return storage_dir_; }
  const std::string& run_dir() const { return run_dir_; }
  // Beginning of a command line, and the environment that it needs. WordsToRun: for a container, whose file system
  // nobody else on the machine sees then. Without root, Podman itself takes care of that.
  std::vector<std::string> Words() const;
  std::vector<std::string> WordsToRun() const;
  std::vector<std::string> Environment() const;
  // False if this account cannot limit memory and processors of containers.
  bool limits() const { return limits_; }
  const PodmanMachine& machine() const { return machine_; }

 private:
  Podman(std::string storage_dir, PodmanMachine machine)
      : storage_dir_(std::move(storage_dir)),
        machine_(machine),
        run_dir_(RunDirectoryOf(storage_dir_, machine_.root)) {}
  absl::Status Prepare() const;
  absl::Status LookAtCgroups();
  // OK and standard output if the command succeeds, otherwise its error.
  absl::StatusOr<std::string> Call(const std::vector<std::string>& arguments, absl::string_view doing,
                                   const std::stop_token& stop, absl::Duration limit) const;
  std::string UseOf(absl::string_view reference) const;
  void NoteUse(absl::string_view reference) const;
  absl::StatusOr<bool> HasImage(const std::string& reference, const std::stop_token& stop) const;
  std::string In(absl::string_view name) const;

  const std::string storage_dir_;
  const PodmanMachine machine_;
  const std::string run_dir_;
  bool limits_ = true;
};

// Turns what `podman pull` printed into an error for users.
absl::Status PullError(absl::string_view reference, absl::string_view printed);

}  // namespace riseml::agent
