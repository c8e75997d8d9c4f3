// Volume with the outputs of all experiments.
#pragma once

#include <map>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/internal/v1/node_agent.pb.h"

namespace riseml::agent {

class OutputVolume {
 public:
  explicit OutputVolume(std::string directory) : directory_(std::move(directory)) {}

  // Absolute path of `below` on the volume; empty if `below` is empty.
  std::string PathOf(const std::string& below) const;
  // Directories of a job's inputs, by name.
  std::map<std::string, std::string> InputsOf(const internal::v1::JobTemplate& job) const;
  // NOT_FOUND if the directory of an input is missing. Without this check the sandbox would fail without a clear
  // reason.
  absl::Status CheckInputs(const internal::v1::JobTemplate& job) const;
  // Makes the directories that a job writes to and stores its configuration there. Returns the job's output directory;
  // empty if it has none.
  absl::StatusOr<std::string> Prepare(const internal::v1::StartAttemptRequest& start) const;
  // Disk space of the directories that a job writes to; no field is set for a job without an output. CANCELLED if
  // stopped.
  absl::StatusOr<internal::v1::OutputSize> Measure(const internal::v1::JobTemplate& job,
                                                   const std::stop_token& stop) const;

 private:
  const std::string directory_;
};

}  // namespace riseml::agent
