// Calls nodes about attempts. Makes one call of a kind for an attempt at a time, and limits how often it is repeated.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "services/scheduler/controller/shared.h"

namespace riseml::scheduler {

// True when trying again cannot help.
bool IsFinal(const absl::Status& status);

// Lives on one thread; the bodies of calls run on the executor's threads.
class NodeCalls {
 public:
  explicit NodeCalls(const Shared& shared) : shared_(shared) {}

  // Returns true if a call may be made now; otherwise the job is looked at again when it may be made.
  bool May(const std::string& uid, Job& job, int attempt, Call call);
  // Makes the call if it may be made now.
  void Make(const std::string& uid, Job& job, int attempt, Call call, std::function<absl::Status(Cluster&)> body) {
    MakeOn(shared_.ports.node_executor, uid, job, attempt, call, std::move(body));
  }
  // The same on other threads than those of all calls.
  void MakeOn(Executor& executor, const std::string& uid, Job& job, int attempt, Call call,
              std::function<absl::Status(Cluster&)> body);
  // Takes the results of calls that have returned.
  void TakeResults();

 private:
  void Take(const NodeCallResult& result);

  const Shared& shared_;
};

}  // namespace riseml::scheduler
