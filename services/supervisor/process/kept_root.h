// Root's rights that a process keeps in reserve, as its saved user id, while it runs with those of an account.
#pragma once

#include <sys/types.h>

namespace riseml::supervisor {

// Gives the calling thread root's rights as long as this object exists. A thread that is started meanwhile would keep
// them: start none. No effect in a process that keeps none. Ends the process if the rights cannot be given back.
class AsRoot {
 public:
  AsRoot();
  ~AsRoot();
  AsRoot(const AsRoot&) = delete;
  AsRoot& operator=(const AsRoot&) = delete;

 private:
  uid_t account_ = 0;  // 0: nothing was taken
};

// Gives a child between fork and exec the rights of its program: all of root's, or those of the account without a way
// back. Async-signal-safe. Returns false and sets errno on failure.
bool TakeProgramsRights(bool as_root);

}  // namespace riseml::supervisor
