#include "cli/testing/fake_content.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace riseml::cli {

std::string ExperimentResourceName(const std::string& id) { return absl::StrCat("users/paul/experiments/", id); }
std::string JobResourceName(const std::string& id, const std::string& job) {
  return absl::StrCat(ExperimentResourceName(id), "/jobs/", job);
}

v1::Experiment MakeExperiment(const std::string& id, v1::Experiment::State state) {
  v1::Experiment experiment;
  experiment.set_name(ExperimentResourceName(id));
  experiment.set_uid(absl::StrCat("uid-", id));
  experiment.set_type(v1::Experiment::EXPERIMENT);
  experiment.set_project("users/paul/projects/census");
  experiment.set_state(state);
  experiment.mutable_create_time()->set_seconds(1'700'000'000);
  return experiment;
}

v1::Job MakeJob(const std::string& id, const std::string& job, v1::Job::State state) {
  v1::Job out;
  out.set_name(JobResourceName(id, job));
  out.set_uid(absl::StrCat("uid-", id, "-", job));
  out.set_role(job);
  out.set_state(state);
  if (state != v1::Job::CREATED && state != v1::Job::PENDING) out.set_attempt_count(1);
  return out;
}

void FakeContent::Changed() { changed_.notify_all(); }

FakeContent::FakeContent() {
  v1::Project census;
  census.set_name("users/paul/projects/census");
  census.set_uid("project-uid");
  census.set_stored_bytes(12'345'678);
  census.mutable_create_time()->set_seconds(1'700'000'000);
  Put(census);
}

void FakeContent::Put(const v1::Experiment& experiment) {
  MutexLock lock(mu_);
  experiments_[experiment.name()] = experiment;
  Changed();
}

void FakeContent::Put(const v1::Job& job) {
  MutexLock lock(mu_);
  jobs_[job.name()] = job;
  Changed();
}

void FakeContent::AppendLog(const std::string& job_uid, const std::string& job, const std::string& bytes) {
  MutexLock lock(mu_);
  logs_[job_uid].job = job;
  absl::StrAppend(&logs_[job_uid].bytes, bytes);
  Changed();
}

void FakeContent::EndLog(const std::string& job_uid, bool complete) {
  MutexLock lock(mu_);
  logs_[job_uid].ended = true;
  logs_[job_uid].complete = complete;
  Changed();
}

void FakeContent::DamageLog(const std::string& job_uid, const std::string& error) {
  MutexLock lock(mu_);
  logs_[job_uid].ended = true;
  logs_[job_uid].complete = false;
  logs_[job_uid].error = error;
  Changed();
}

void FakeContent::SetOwner(const std::string& job_uid, int server, const std::string& address) {
  MutexLock lock(mu_);
  if (address.empty()) {
    logs_[job_uid].elsewhere.erase(server);
  } else {
    logs_[job_uid].elsewhere[server] = address;
  }
  Changed();
}

void FakeContent::CutFollow(std::vector<std::size_t> after_bytes) {
  MutexLock lock(mu_);
  cuts_ = std::move(after_bytes);
}

void FakeContent::CutWatch(int count) {
  MutexLock lock(mu_);
  watch_cuts_ = count;
}

v1::ClusterInfo FakeContent::cluster() const {
  MutexLock lock(mu_);
  return cluster_;
}

void FakeContent::SetCluster(const v1::ClusterInfo& cluster) {
  MutexLock lock(mu_);
  cluster_ = cluster;
}

int FakeContent::follow_calls() const {
  MutexLock lock(mu_);
  return follow_calls_;
}

void FakeContent::RefuseCallers(int count) {
  MutexLock lock(mu_);
  refused_callers_ = count;
}

std::vector<v1::CreateExperimentRequest> FakeContent::created() const {
  MutexLock lock(mu_);
  return created_;
}

std::vector<std::string> FakeContent::killed() const {
  MutexLock lock(mu_);
  return killed_;
}
void FakeContent::Put(const v1::Project& project) {
  MutexLock lock(mu_);
  projects_[project.name()] = project;
}

std::vector<std::string> FakeContent::deleted() const {
  MutexLock lock(mu_);
  return deleted_;
}

}  // namespace riseml::cli
