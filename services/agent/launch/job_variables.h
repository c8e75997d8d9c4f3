// Environment variables of a job, by an allow-list: a job gets from the node's own environment only the settings for
// TLS, proxies, package indexes and locale.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "riseml/internal/v1/node_agent.pb.h"

namespace riseml::agent {

// Directory of secrets that are passed as files, below the temporary directory of the attempt.
inline constexpr char kSecretsDirectory[] = "secrets";

using Variables = std::map<std::string, std::string>;

// Paths as the job sees them.
struct JobPaths {
  std::string control;    // holds `socket`, `tools` and, without an environment, `bin` with the interpreter
  std::string temporary;  // its own directory for temporary files; holds `home`
  std::string output;     // empty: the job has no output
  std::string shared;     // directory shared by the job's set; empty: there is none
  std::map<std::string, std::string> inputs;  // outputs of other experiments by name
  std::string data;                           // empty: there is none
  std::string python_client;
  std::string pip_config;  // empty: none
  std::string cache;       // shared by all jobs of the user; empty: none
};

// Ports of this machine that a job may listen on; 0: none.
struct JobPorts {
  int master = 0;
  int service = 0;
};

// "27.3" of "users/paul/experiments/27.3/jobs/train"; empty for anything else.
std::string ExperimentOf(absl::string_view job);

// Variables of a job. `node` is the environment of the node itself, of which only TLS, proxy, package-index and locale
// settings are taken. A parameter becomes a variable unless its name already has a meaning: for RiseML, for the node's
// settings, or for every program (LANG, TZ, LD_PRELOAD). Exception: a parameter overrides the variables for numbers of
// threads.
Variables JobVariables(const internal::v1::StartAttemptRequest& start, const JobPaths& paths, const JobPorts& ports,
                       const Variables& node);

// Returns the variables in `node` that jobs get.
Variables InheritedVariables(const Variables& node);

// Absolute paths that the value of a variable names.
std::vector<std::string> PathsIn(absl::string_view value);

// Files and directories named by the inherited variables, such as a CA bundle: a sandbox has to show them.
std::vector<std::string> InheritedPaths(const Variables& node);

// This process's environment. Call it before threads start.
Variables OwnVariables();

}  // namespace riseml::agent
