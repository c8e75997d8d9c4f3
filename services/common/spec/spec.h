// A checked riseml.yml as plain values. Every Spec has passed all rules of ParseSpec.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace riseml::spec {

// Resources that one job asks for. An absent value means the server's default (no GPU for gpus).
struct Resources {
  std::optional<double> cpus;    // cores, 0.01 or more
  std::optional<double> mem_mb;  // megabytes of 10^6 bytes, 0.01 or more
  std::optional<int> gpus;       // 0 or more

  friend bool operator==(const Resources&, const Resources&) = default;
};

// Jobs of distributed TensorFlow. Parts the file leaves out are filled in: count 1, the resources of `train`.
struct Distributed {
  Resources master;
  int worker_count = 1;  // the master is one of them
  Resources worker;
  int ps_count = 1;
  Resources ps;
};

struct Horovod {
  std::string version;  // empty: latest
  int worker_count = 1;
  std::optional<int> processes;  // per worker; absent: one per GPU, or 1 without GPUs
};

// The `tensorflow` section; at most one of distributed and horovod is set.
struct TensorFlow {
  std::string version;  // empty: latest
  bool tensorboard = true;
  std::optional<Distributed> distributed;
  std::optional<Horovod> horovod;
};

// One name of the grid with its values, one or more, in the order given. Numbers keep the text they were written with,
// booleans are True and False, ranges are written out.
struct Parameter {
  std::string name;
  std::vector<std::string> values;
};

// A secret that the commands get in the variable `name`: its value, or the path of a file with it.
struct Secret {
  std::string name;
  bool as_file = false;
};

// The output of another experiment, which the commands read at /inputs/NAME.
struct Input {
  std::string name;
  std::string experiment;  // its id as written: "26", "26.3", "paul.26.3", a UUID
};

// Number of times that a failed job is started again.
struct Retries {
  int infrastructure = 0;  // after failures of its node or of RiseML
  int error = 0;           // after failures of the job itself: a command, memory that ran out
  bool operator==(const Retries&) const = default;
};

struct Train {
  Resources resources;
  std::string image;         // derived when the file names none and framework is tensorflow
  bool image_given = false;  // the file names the image
  std::vector<std::string> install;
  std::vector<std::string> run;            // one command or more
  std::string framework;                   // "tensorflow" or empty
  std::optional<TensorFlow> tensorflow;    // set exactly when framework is tensorflow
  std::vector<Parameter> parameters;       // sorted by name
  std::map<std::string, std::string> env;  // variables of the commands, before substitution of parameters
  std::vector<Secret> secrets;             // sorted by name
  std::vector<Input> inputs;               // sorted by name
  Retries retries;
  std::string queue;                                 // empty: the default queue
  int priority = 0;                                  // -100 to 100; higher goes first
  std::map<std::string, std::string> node_selector;  // labels a node must have
  std::optional<absl::Duration> max_run_time;        // of an attempt, whole seconds, 1 s or more
  int concurrency = 1;                               // children at the same time, 1 or more
  bool has_parameters = false;                       // a set of experiments, even when there is one combination only
};

struct Spec {
  std::string project;
  std::optional<Train> train;
  std::vector<std::string> warnings;  // sentences for the user, each with file, line and column
};

// Two characters or more: letters, digits, '-' and '_', the first and the last a letter or digit.
bool IsProjectName(absl::string_view name);

}  // namespace riseml::spec
