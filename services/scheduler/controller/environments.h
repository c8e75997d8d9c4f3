// Port to builder, and a cache of its recent answers.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/builder.pb.h"
#include "riseml/internal/v1/scheduling.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/threads/executor.h"
#include "services/scheduler/controller/mailbox.h"

namespace riseml::scheduler {

// Finds the environment a job needs. Thread-safe; blocks for 3 s at most. Errors: INVALID_ARGUMENT and NOT_FOUND are
// final; UNAVAILABLE and DEADLINE_EXCEEDED say that builder is away; after any other the next question may succeed.
class Environments {
 public:
  virtual ~Environments() = default;
  virtual absl::StatusOr<internal::v1::Environment> Resolve(const internal::v1::ResolveEnvironmentRequest& request) = 0;

  // Makes the image of a job (BuilderService.MakeImage). Blocks for 60 s at most; another call goes on where the last
  // one was broken off.
  virtual absl::StatusOr<internal::v1::ContainerImage> MakeImage(const internal::v1::MakeImageRequest& request) = 0;
};

// Returns the record of an environment that api stores with a placement.
internal::v1::EnvironmentRecord RecordOf(const internal::v1::Environment& environment);

struct EnvironmentAnswer {
  std::string key;         // the serialised request
  std::int64_t round = 0;  // of the question
  absl::StatusOr<internal::v1::Environment> environment;
};

// Asks builder on other threads, so that a slow builder holds up only the jobs that need an environment. Remembers
// answers for a second: a thousand jobs of one experiment ask once. After an error that says builder is away, asks
// nothing for a second, so that a hanging builder costs one time limit and not one for each job. Lives on one thread.
class EnvironmentCache {
 public:
  // All outlive this and what the executor runs for it.
  struct Ports {
    Environments& environments;
    Executor& executor;
    Mailbox<EnvironmentAnswer>& answers;
    const Clock& clock;
  };
  explicit EnvironmentCache(Ports ports) : ports_(ports) {}

  // nullopt: builder is being asked; TakeAnswered names the job when the answer is there.
  std::optional<absl::StatusOr<internal::v1::Environment>> Resolve(const std::string& job_uid,
                                                                   const internal::v1::Work& job);
  // Jobs whose questions have been answered since the last call.
  std::set<std::string> TakeAnswered();
  // Forgets all answers, also those of calls under way. Must be called when a build has ended.
  void Clear();

 private:
  struct Answer {
    absl::StatusOr<internal::v1::Environment> environment;
    absl::Time until;
  };
  struct Question {
    internal::v1::ResolveEnvironmentRequest request;
    std::set<std::string> jobs;  // that wait for the answer
  };
  std::optional<absl::StatusOr<internal::v1::Environment>> Known(const std::string& key) const;
  void AskNext();
  void TakeAnswers();
  void Keep(EnvironmentAnswer answer);
  void CloseQuestion(const std::string& key);

  const Ports ports_;
  std::map<std::string, Answer> answers_;      // by serialised request; at most 10,000
  std::map<std::string, Question> questions_;  // by serialised request; at most one for each waiting job
  std::deque<std::string> queue_;              // questions not asked yet
  int under_way_ = 0;
  std::int64_t round_ = 0;
  std::set<std::string> answered_;
  absl::Status away_;
  absl::Time away_until_ = absl::InfinitePast();
};

}  // namespace riseml::scheduler
