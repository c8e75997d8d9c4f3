// Private PostgreSQL of a local installation. It is created once and listens only on a socket in a directory of mode
// 0700, not on TCP.
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

// Makes the database cluster with database and role "riseml" unless it exists. Atomic: the next call removes an
// incomplete cluster.
absl::Status EnsureCluster(const Layout& layout, const std::string& postgres_bin);

std::vector<std::string> PostgresCommand(const Layout& layout, const std::string& postgres_bin,
                                         const config::v1::SupervisorState& state);

// Pid of the server if it reports that it accepts connections; otherwise 0.
int ReadyPostgresPid(const Layout& layout);

// Pid of a live server of this directory, even if our own pid file for it is lost; 0 if there is none.
int LivingPostgresPid(const Layout& layout);

// Removes the lock files of a dead server if their pid now belongs to another program, which PostgreSQL would take for
// a running server. Keeps them while any process works in the directory: then only PostgreSQL can decide.
absl::Status RemoveStaleLocks(const Layout& layout, const config::v1::SupervisorState& state);

}  // namespace riseml::supervisor
