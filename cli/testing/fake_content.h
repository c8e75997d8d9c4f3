// In-memory contents of the fake cluster, with setters for tests.
#pragma once

#include <condition_variable>
#include <map>
#include <string>
#include <vector>

#include "riseml/v1/cluster.pb.h"
#include "riseml/v1/experiment.pb.h"
#include "riseml/v1/job.pb.h"
#include "riseml/v1/project.pb.h"
#include "services/common/base/mutex.h"

namespace riseml::cli {

// Thread-safe; a change wakes every open stream.
class FakeContent {
 public:
  // Holds the project census of paul.
  FakeContent();

  struct Log {
    std::string job;  // resource name
    std::string bytes;
    bool ended = false;
    bool complete = true;
    std::string error;                     // with which it ends, after its bytes
    std::map<int, std::string> elsewhere;  // by log server: the address it names as the owner; absent: it owns the log
  };

  void Put(const v1::Experiment& experiment);
  void Put(const v1::Job& job);  // becomes part of its experiment
  void AppendLog(const std::string& job_uid, const std::string& job, const std::string& bytes);
  void EndLog(const std::string& job_uid, bool complete = true);
  // Ends a log as one that cannot be read any further.
  void DamageLog(const std::string& job_uid, const std::string& error);
  // Log server `server`, 0 or 1, names an address as the owner of a log; empty: it is the owner again.
  void SetOwner(const std::string& job_uid, int server, const std::string& address);

  // The next Follow call is cut with UNAVAILABLE after this many bytes; several values: the calls after it.
  void CutFollow(std::vector<std::size_t> after_bytes);
  // The next `count` watch calls are cut with UNAVAILABLE right after `synced`.
  void CutWatch(int count);
  int follow_calls() const;
  // The next `count` calls of GetCaller fail with UNAVAILABLE.
  void RefuseCallers(int count);

  v1::ClusterInfo cluster() const;
  void SetCluster(const v1::ClusterInfo& cluster);
  std::vector<v1::CreateExperimentRequest> created() const;
  std::vector<std::string> killed() const;
  std::vector<std::string> deleted() const;  // experiments and projects
  void Put(const v1::Project& project);

 private:
  friend class FakeCluster;
  friend class FakeExperiments;
  friend class FakeJobs;
  friend class FakeLogs;
  friend class FakeProjects;
  friend class FakeUsers;

  void Changed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable Mutex mu_;
  std::condition_variable_any changed_;
  v1::ClusterInfo cluster_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, v1::Experiment> experiments_ ABSL_GUARDED_BY(mu_);  // by resource name
  std::map<std::string, v1::Job> jobs_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Log> logs_ ABSL_GUARDED_BY(mu_);              // by job uid
  std::map<std::string, v1::Project> projects_ ABSL_GUARDED_BY(mu_);  // by resource name
  std::vector<v1::CreateExperimentRequest> created_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> killed_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> deleted_ ABSL_GUARDED_BY(mu_);
  std::vector<std::size_t> cuts_ ABSL_GUARDED_BY(mu_);
  int watch_cuts_ ABSL_GUARDED_BY(mu_) = 0;
  int follow_calls_ ABSL_GUARDED_BY(mu_) = 0;
  int refused_callers_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

// Names as the tests use them.
std::string ExperimentResourceName(const std::string& id);                   // users/paul/experiments/ID
std::string JobResourceName(const std::string& id, const std::string& job);  // …/jobs/JOB
v1::Experiment MakeExperiment(const std::string& id, v1::Experiment::State state);
v1::Job MakeJob(const std::string& id, const std::string& job, v1::Job::State state);

}  // namespace riseml::cli
