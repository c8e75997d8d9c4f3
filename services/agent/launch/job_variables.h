// The variables of a job: an allow-list. Nothing of the node's own environment reaches a job but what is needed to
// reach package indexes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "riseml/internal/v1/node_agent.pb.h"

namespace riseml::agent {

// Directory of secrets that are files, below the temporary directory of the attempt.
inline constexpr char kSecretsDirectory[] = "secrets";

using Variables = std::map<std::string, std::string>;

// Paths as the job sees them.
struct JobPaths {
  std::string control;    // holds `socket`, `tools` and, without an environment, `bin` with the interpreter
  std::string temporary;  // its own directory for temporary files; holds `home`
  std::string output;     // empty: it has none
  std::string shared;     // of its set; empty: there is none
  std::map<std::string, std::string> inputs;  // outputs of other experiments by name
  std::string data;                           // empty: there is none
  std::string python_client;
  std::string pip_config;  // empty: none
  std::string cache;       // the user's own, shared by all jobs; empty: none
};

// Ports of this machine that a job may listen on; 0: none.
struct JobPorts {
  int master = 0;
  int service = 0;
};

// "27.3" of "users/paul/experiments/27.3/jobs/train"; empty for anything else.
std::string ExperimentOf(absl::string_view job);

// Variables of a job. `node` is the environment of the node itself, of which only TLS, proxy, package-index and locale
// settings are taken. A parameter becomes a variable unless its name has a meaning already: one of the product's, of
// the node's settings, or of every program (LANG, TZ, LD_PRELOAD). Numbers of threads are the exception: a parameter
// wins.
Variables JobVariables(const internal::v1::StartAttemptRequest& start, const JobPaths& paths, const JobPorts& ports,
                       const Variables& node);

// The node's settings among `node` that jobs get.
Variables InheritedVariables(const Variables& node);

// Absolute paths that the value of a variable names.
std::vector<std::string> PathsIn(absl::string_view value);

// Files and directories named by the inherited variables, such as a CA bundle: a sandbox has to show them.
std::vector<std::string> InheritedPaths(const Variables& node);

// This process's environment. Call it before threads start.
Variables OwnVariables();

}  // namespace riseml::agent
