// The account services run as: the invoking user, or the system user "riseml" when that is root.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace riseml::supervisor {

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
  bool drop = false;     // true when we are root and have to become this account
  bool created = false;  // true when it was made just now
};

// Finds the account; as root makes the system user when it is missing.
absl::StatusOr<Account> FindOrMakeAccount();

// True when the account may do `mode` (of access(2)) with the path. Forks; to be called while this process has one
// thread.
bool CanAccess(const Account& account, const std::string& path, int mode);

// Hands a tree over to the account unless its root belongs to it already. Follows no link.
absl::Status GiveTree(const Account& account, const std::string& path);

// Gives root's rights up for good. No effect when there is nothing to drop.
absl::Status Become(const Account& account);

}  // namespace riseml::supervisor
