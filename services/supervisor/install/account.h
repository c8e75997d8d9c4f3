// Account that the services run as: the invoking user, or the system user "riseml" if the invoking user is root.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

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

// Makes the account the owner of whole trees, whatever their programs do meanwhile. Follows no links. No effect on
// trees that do not exist, and if there is nothing to drop.
absl::Status GiveWholeTrees(const Account& account, const std::vector<std::string>& paths);

enum class RootRights {
  kGivenUp,
  kInReserve,  // as the saved user id (process/kept_root.h)
};

// Gives up root's rights, permanently or in reserve. No effect if there is nothing to drop.
absl::Status Become(const Account& account, RootRights rights);

}  // namespace riseml::supervisor
