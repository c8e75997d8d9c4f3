// The private PostgreSQL of a local installation: made once, reached through a socket in a directory of mode 0700, no
// TCP.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/config/v1/supervisor.pb.h"
#include "services/supervisor/install/layout.h"

namespace riseml::supervisor {

// Directory of PostgreSQL 15's programs. FAILED_PRECONDITION names the package to install.
absl::StatusOr<std::string> FindPostgres();

// True when the database cluster has been made.
bool HasCluster(const Layout& layout);

// Makes the database cluster with database and role "riseml" unless it is there. Atomic: half a cluster is thrown away
// next time.
absl::Status EnsureCluster(const Layout& layout, const std::string& postgres_bin);

std::vector<std::string> PostgresCommand(const Layout& layout, const std::string& postgres_bin,
                                         const config::v1::SupervisorState& state);

// The pid of the server that says it accepts connections; 0 when none does.
int ReadyPostgresPid(const Layout& layout);

// The pid of a live server of this directory, wherever its pid file of ours went; 0 when there is none.
int LivingPostgresPid(const Layout& layout);

// Removes lock files of a server that is gone when their pid belongs to some other program by now, which PostgreSQL
// itself takes for a running server. Keeps them while any process works in the directory: then only PostgreSQL can
// tell.
absl::Status RemoveStaleLocks(const Layout& layout, const config::v1::SupervisorState& state);

}  // namespace riseml::supervisor
