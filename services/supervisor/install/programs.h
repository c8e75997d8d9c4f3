// Finds the services' programs and checks that their account can run them.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/supervisor/install/account.h"

namespace riseml::supervisor {

struct Programs {
  std::string bin_dir;            // holds riseml-api and the other programs
  std::string python_client_dir;  // holds the Python package riseml
  std::string postgres_bin;
  std::string haproxy;          // empty: not installed
  std::string docker_registry;  // empty: not needed
};

// Finds the programs in `bin_dir`, or beside this program if `bin_dir` is empty. Finds the Python package in
// ../clients/python or ../../clients/python from there, or in /usr/share/riseml/python. FAILED_PRECONDITION names the
// missing file.
absl::StatusOr<Programs> FindPrograms(const std::string& bin_dir);

// Returns the same programs at paths that the account can read. If it cannot read them in place (e.g. in a checkout
// below /root), copies them to /var/cache/riseml/programs-HASH, which belongs to root and is updated at each call. Must
// be called with one thread.
absl::StatusOr<Programs> MakeReachable(const Programs& programs, const Account& account);

}  // namespace riseml::supervisor
