#include "services/supervisor/install/enter_account.h"

#include "services/common/base/files/file.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/install/private_mount.h"

namespace riseml::supervisor {

absl::StatusOr<Layout> EnterAccount(const Account& account, const std::string& dir, Programs* programs,
                                    RootRights rights) {
  for (const char* part : {"", "/run", "/logs"}) RISEML_RETURN_IF_ERROR(GiveTree(account, dir + part));
  RISEML_ASSIGN_OR_RETURN(*programs, MakeReachable(*programs, account));
  Layout layout;
  layout.dir = dir;
  RISEML_ASSIGN_OR_RETURN(layout.home, ReachablePath(account, dir));
  if (rights == RootRights::kInReserve) {
    // Only root enters it: files of images may give root's rights to whoever runs them.
    RISEML_RETURN_IF_ERROR(MakeDirectories(layout.Containers(), 0700));
  }
  RISEML_RETURN_IF_ERROR(Become(account, rights));
  return layout;
}

}  // namespace riseml::supervisor
