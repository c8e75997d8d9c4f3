// Computes the key of an environment and the steps that build it. Pure.
//
// The key is the SHA-256 of a canonical text: each field with its name and length in front, so that no two inputs have
// the same text. The code is part of it only as far as install steps read it: an edited training script keeps its
// environment.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::builder {

// Version of the directory's layout and of how it is made; part of the key.
inline constexpr int kEnvironmentFormat = 2;

// Name of the file that says an environment is complete.
inline constexpr absl::string_view kMarkerName = ".riseml-complete";

// Name of the file that says which job built an environment, e.g. "26.build".
inline constexpr absl::string_view kBuiltByName = ".riseml-built-by";

// Directory of files that steps left besides packages: `code` lies beneath a job's code, `home` in its HOME.
inline constexpr absl::string_view kLeavingsName = ".riseml";

// The part of the code that decides an environment.
struct CodeInputs {
  std::map<std::string, std::string> ids;  // git ids by path; of a directory "path/"
  std::string tree;                        // content of the root except riseml.yml, with ids; then `ids` is empty
  std::string everything_because;          // why the whole tree decides
  std::vector<std::string> outside;        // files that steps read elsewhere; they decide nothing
};

// 64 hex digits that differ when the inputs do.
std::string DigestOf(const CodeInputs& code);

struct Inputs {
  std::string owner_uid;             // environments are not shared between users
  std::string place;                 // where environments lie; installed files name this path and work nowhere else
  std::string python;                // path of the interpreter
  std::string python_version;        // its full version and machine
  std::string python_note;           // why it differs from the one the image asks for; may be empty
  std::vector<std::string> install;  // the user's steps, in order
  std::string framework;             // "tensorflow" or empty
  std::string framework_version;     // empty: what the index offers
  CodeInputs code;                   // the part of the code that decides
  // Digests of the part of the code that decides the first step, the first two, and so on. Steps without a digest are
  // not kept for later builds.
  std::vector<std::string> prefix_digests;
  std::string rebuild;        // who asked to build it anew; empty: nobody
  std::string built_because;  // for the log: why it is built (CacheExplanation.reason); decides nothing
  std::string client_dir;     // directory of the Python package `riseml`; empty: none
  std::string client_digest;  // of its content
};

// 64 hex digits.
std::string KeyOf(const Inputs& inputs);

// Content of the completion marker of the environment with this key.
std::string MarkerOf(absl::string_view key);

struct Step {
  std::string title;              // what people see
  std::string command;            // for the shell
  std::string prefix_key;         // of this step and those before it, 64 hex digits; empty: not kept for later builds
  std::string reuse_command;      // for the shell when its result comes from an earlier build; may be empty
  bool explains_failure = false;  // if it fails, its last line of output says why
};

// Returns the steps, in order: a fresh virtual environment at `path` (its log begins with the deciding inputs), the
// product's package, the user's install steps, the framework, the files they left elsewhere, the completion marker.
// They run in the directory of the code with `path`/bin first on PATH.
std::vector<Step> StepsOf(const Inputs& inputs, absl::string_view key, absl::string_view path);

// Quotes `text` as one word for the shell.
std::string Quote(absl::string_view text);

}  // namespace riseml::builder
