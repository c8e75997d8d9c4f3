// The volume on which the outputs of all experiments lie, as jobs see it.
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

  // Whole path of something below the volume; empty for nothing.
  std::string PathOf(const std::string& below) const;
  // Directories of a job's inputs, by name.
  std::map<std::string, std::string> InputsOf(const internal::v1::JobTemplate& job) const;
  // NOT_FOUND if an input has no directory: the sandbox could not be made without it, and would not say why.
  absl::Status CheckInputs(const internal::v1::JobTemplate& job) const;
  // Makes the directories that a job writes to and stores its configuration there. Returns its output's directory;
  // empty: it has none.
  absl::StatusOr<std::string> Prepare(const internal::v1::StartAttemptRequest& start) const;
  // Disk space of the directories that a job writes to; nothing is set for a job without an output. CANCELLED when
  // stopped.
  absl::StatusOr<internal::v1::OutputSize> Measure(const internal::v1::JobTemplate& job,
                                                   const std::stop_token& stop) const;

 private:
  const std::string directory_;
};

}  // namespace riseml::agent
