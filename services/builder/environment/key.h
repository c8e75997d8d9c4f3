// Computes the key of an environment. Pure.
//
// The key is the SHA-256 of a canonical text: each field with its name and length in front, so that no two inputs have
// the same text. The code is part of it only as far as install steps read it: an edited training script keeps its
// environment.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace riseml::builder {

// Version of the directory's layout and of how it is made; part of the key.
inline constexpr int kEnvironmentFormat = 2;

// The part of the code that decides an environment.
struct CodeInputs {
  std::map<std::string, std::string> ids;  // git ids by path; paths of directories end in "/"
  std::string tree;                        // content of the root except riseml.yml, with ids; then `ids` is empty
  std::string everything_because;          // why the whole tree decides
  std::vector<std::string> outside;        // files that steps read elsewhere; they decide nothing
  std::set<std::string> projects;          // directories that are installed editable; ids and tree decide without them
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

// The inputs that decide the first steps.
struct Prefix {
  bool client = true;        // the package `riseml` is among them
  std::size_t installs = 0;  // number of install steps
  bool framework = false;    // the framework is among them
};

// Key of the result of the first steps. It leaves out who asked for a rebuild: a rebuild replaces the kept result for
// all builds with the same steps. Empty if it is unknown which code the steps read.
std::string PrefixKeyOf(const Inputs& inputs, const Prefix& prefix);

}  // namespace riseml::builder
