// Calls about experiments that several commands make.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/client/connection.h"
#include "cli/client/target.h"

namespace riseml::cli {

// NOT_FOUND `Could not find experiment!` or `Could not find job!`, with the id and the command that lists those that
// exist. `resource`: resource name.
absl::Status NoSuchExperiment(const Connection& connection, const std::string& resource);
absl::Status NoSuchJob(const Connection& connection, const std::string& resource);

// Both fail as above.
absl::StatusOr<v1::Experiment> GetExperiment(Connection& connection, const std::string& resource);
absl::StatusOr<v1::Job> GetJob(Connection& connection, const std::string& resource);

// Experiments in order, all pages, at most `limit` (0: all).
absl::StatusOr<std::vector<v1::Experiment>> ListExperiments(Connection& connection, v1::ListExperimentsRequest request,
                                                            std::int64_t limit);

// Restricts the request to experiments that have not ended.
void OnlyUnderWay(v1::ListExperimentsRequest* request);

// The experiment or job of a command.
struct Subject {
  Target target;           // kExperiment or kJob
  std::string experiment;  // resource name
  std::string resource;    // of the job when it is one, otherwise of the experiment
  std::string shown;       // as people type it
  std::string note;        // how it was chosen, when no id was given; otherwise empty
};

// Resolves what was typed. Without an id: the newest experiment of the project whose riseml.yml lies in the current
// directory, else the newest of the user. `none` is the message when there is no experiment.
absl::StatusOr<Subject> ResolveSubject(Connection& connection, absl::string_view id, absl::string_view none);

// INVALID_ARGUMENT for an id such as @last if no riseml.yml names the project: for commands that must not guess.
absl::Status RefuseGuess(absl::string_view id);

// The newest experiment of a project that is under way and not being killed already; for commands that must not guess
// the project. The project is that of `config_file`, or if that is empty, of the current directory. INVALID_ARGUMENT if
// there is no project, NOT_FOUND with `none` if nothing is under way.
absl::StatusOr<Subject> NewestUnderWay(Connection& connection, const std::string& config_file, absl::string_view none);

}  // namespace riseml::cli
