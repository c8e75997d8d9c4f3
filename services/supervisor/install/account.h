// Account that the services run as: the invoking user, or the system user "riseml" if the invoking user is root.
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
  bool created = false;  // true if the account was made just now
};

// Finds the account. As root, creates the system user if it is missing.
absl::StatusOr<Account> FindOrMakeAccount();

// True if the account has access `mode`, as in access(2), to the path. Forks; must be called while this process has
// only one thread.
bool CanAccess(const Account& account, const std::string& path, int mode);

// Makes the account the owner of a tree unless it owns the root of the tree already. Follows no links.
absl::Status GiveTree(const Account& account, const std::string& path);

// Gives up root's rights permanently. No effect if there is nothing to drop.
absl::Status Become(const Account& account);

}  // namespace riseml::supervisor
