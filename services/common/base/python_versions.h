// Interpreters of Python: which one an image asks for, where this machine has it, whether it works.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/mutex.h"

namespace riseml {

// "3.10" for "python:3.10", "python:3.10.4-slim" and "docker.io/library/python:3.10"; empty for images that name no
// version with two numbers.
std::string PythonOfImage(absl::string_view image);

// Programs `python<version>` that exist, the most usual place first: /usr/local/bin, /usr/bin, then `directories`, each
// as DIR/python3.10, DIR/3.10*/bin/python3.10 (pyenv) and DIR/cpython-3.10*/bin/python3.10 (uv). At most 20; does not
// check whether they work.
std::vector<std::string> FindPython(const std::string& version, const std::vector<std::string>& directories);

// The directory that an interpreter needs besides the system's own: PREFIX of PREFIX/bin/python3; empty below /usr.
std::string PythonPrefix(const std::string& python);

// Runs the interpreter and returns its implementation, version and machine, e.g. "cpython 3.11.2 x86_64".
// FAILED_PRECONDITION when it is absent, cannot make virtual environments or takes longer than 10 s.
absl::StatusOr<std::string> PythonVersion(const std::string& python);

struct Interpreter {
  std::string path;
  std::string version;  // as PythonVersion says
  std::string prefix;   // directory outside of /usr that it needs; may be empty
  std::string note;     // why it is not the one that was asked for; may be empty
};

// Chooses an interpreter for an image. Thread-safe.
class Interpreters {
 public:
  // `python` is used when no other is asked for or found. `version` is what PythonVersion says of it; when absent, it
  // is asked at the first choice, which saves time at the start.
  Interpreters(std::string python, std::optional<absl::StatusOr<std::string>> version,
               std::vector<std::string> directories)
      : python_(std::move(python)), directories_(std::move(directories)), version_(std::move(version)) {}

  // For an image like "python:3.10" the interpreter of that version, when this machine has one that works; for all
  // others the usual one. The first call for a version may take seconds. FAILED_PRECONDITION when the usual one does
  // not work either.
  absl::StatusOr<Interpreter> Choose(absl::string_view image);

 private:
  const std::string python_;
  const std::vector<std::string> directories_;
  Mutex mu_;
  std::optional<absl::StatusOr<std::string>> version_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Interpreter> found_ ABSL_GUARDED_BY(mu_);  // by version asked for
};

}  // namespace riseml
