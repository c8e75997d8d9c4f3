// Finds the services' programs and checks that their account can run them.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/supervisor/install/account.h"

namespace riseml::supervisor {

struct Programs {
  std::string bin_dir;            // riseml-api and its kin
  std::string python_client_dir;  // holds the Python package riseml
  std::string postgres_bin;
  std::string haproxy;  // empty: not installed
};

// Looks beside this program, or in `bin_dir` when it is not empty; the Python package in ../clients/python,
// ../../clients/python or /usr/share/riseml/python from there. FAILED_PRECONDITION names what is missing.
absl::StatusOr<Programs> FindPrograms(const std::string& bin_dir);

// The same programs at a place the account can read. When it cannot where they are (a checkout below /root), copies go
// to /var/cache/riseml/programs-HASH, which belongs to root and is brought up to date at each call. To be called with
// one thread.
absl::StatusOr<Programs> MakeReachable(const Programs& programs, const Account& account);

}  // namespace riseml::supervisor
