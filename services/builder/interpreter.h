// What is known about the Python interpreter and the Python package that environments are made of.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/mutex.h"

namespace riseml::builder {

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
  // `version` is that of `python`, the one that is used when no other is asked for or found.
  Interpreters(std::string python, absl::StatusOr<std::string> version, std::vector<std::string> directories)
      : python_(std::move(python)), version_(std::move(version)), directories_(std::move(directories)) {}

  // For an image like "python:3.10" the interpreter of that version, when this machine has one that works; for all
  // others the usual one. The first call for a version may take seconds. FAILED_PRECONDITION when the usual one does
  // not work either.
  absl::StatusOr<Interpreter> Choose(absl::string_view image);

 private:
  const std::string python_;
  const absl::StatusOr<std::string> version_;
  const std::vector<std::string> directories_;
  Mutex mu_;
  std::map<std::string, Interpreter> found_ ABSL_GUARDED_BY(mu_);  // by version asked for
};

// The directory of the package `riseml`: `dir` itself or `dir`/riseml, whichever holds __init__.py; empty when `dir`
// is.
absl::StatusOr<std::string> FindPackage(const std::string& dir);

// SHA-256 of names and contents of all files below `package_dir` (compiled files excepted), 64 hex digits; empty when
// `package_dir` is. Refuses more than 1,000 files or files over 4 MiB.
absl::StatusOr<std::string> PackageDigest(const std::string& package_dir);

}  // namespace riseml::builder
