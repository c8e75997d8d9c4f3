// Follows a log at every log handler that owns a part of it.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "cli/client/connection.h"
#include "cli/client/follow_position.h"
#include "cli/client/follow_routes.h"
#include "riseml/v1/log.pb.h"
#include "services/common/base/mutex.h"

namespace riseml::cli {

// Callbacks of LogFollow. They may block, and are called by several threads. `broken` is kept across all calls to one
// address; each address has its own.
struct FollowEvents {
  std::function<bool(const std::stop_token&, const v1::FollowResponse&)> response;  // false: no more is wanted
  std::function<void(const std::stop_token&, bool* broken)> lost;
  std::function<void(const std::stop_token&, bool* broken)> resumed;
  std::function<void(const std::stop_token&, absl::Duration)> sleep;
};

// Starts with one log handler and continues with those it names as owners of streams, at the cursors reached so far and
// with the same certificates and key. Repeats a call that breaks. Merges all streams into one sequence of responses.
class LogFollow {
 public:
  // `connection` must outlive this object.
  LogFollow(Connection& connection, std::string address, const v1::FollowRequest& request, FollowEvents events);

  // Blocks until all calls have ended (OK), one has failed for good, or a stop is requested. Errors name the log
  // handler.
  absl::Status Run(const std::stop_token& stop);

 private:
  // State of the calls to one address, one after the other.
  struct Calls {
    std::string address;
    bool reached = false;  // it has responded, or is the first address
    bool news = false;     // the last call has brought something new
    bool broken = false;
  };
  void RunCalls(const std::stop_token& stop, const std::string& address);
  absl::Status CallOnce(const std::stop_token& stop, v1::LogService::Stub& stub, Calls& calls);
  void Redirect(const std::string& from, const v1::LogOwner& owner);
  bool MayReturn(const std::string& address);
  void ReturnToFirst(const std::string& address);
  void Close(const std::string& address, const absl::Status& status);

  Connection& connection_;
  const std::string first_;
  const FollowEvents events_;

  Mutex mu_;
  std::condition_variable_any changed_;
  FollowPosition position_ ABSL_GUARDED_BY(mu_);
  FollowRoutes routes_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> to_call_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> placed_ ABSL_GUARDED_BY(mu_);        // addresses that were called with the request's own start
  std::map<std::string, int> returns_ ABSL_GUARDED_BY(mu_);  // to the first address, from one that never answered
  std::map<std::string, grpc::ClientContext*> contexts_ ABSL_GUARDED_BY(mu_);  // of calls under way
  std::set<std::string> call_again_ ABSL_GUARDED_BY(mu_);
  int open_ ABSL_GUARDED_BY(mu_) = 0;  // addresses that are being called
  std::optional<absl::Status> failed_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::cli
