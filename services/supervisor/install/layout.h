// Directory of a local installation: the paths of its files.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace riseml::supervisor {

inline constexpr int kFormatVersion = 1;

struct Layout {
  std::string dir;   // as the user knows it, absolute
  std::string home;  // the same directory by the path services use; differs only when they cannot enter `dir`

  std::string In(absl::string_view entry) const { return absl::StrCat(home, "/", entry); }
  std::string State() const { return In("supervisor.json"); }
  std::string EdgeConfig() const { return In("config/edge.cfg"); }
  std::string Config(absl::string_view service) const { return absl::StrCat(home, "/config/", service, ".yaml"); }
  std::string Certs() const { return In("certs"); }
  std::string TokenKey() const { return In("secrets/token.key"); }
  std::string SecretKey() const { return In("secrets/secret.key"); }
  // The first administrator's API key, from its creation until it is in the client configuration.
  std::string PendingKey() const { return In("secrets/admin-key.pending"); }
  std::string Database() const { return In("postgres"); }
  std::string LogFile(absl::string_view name) const { return absl::StrCat(home, "/logs/", name, ".log"); }
  std::string PidFile(absl::string_view name) const { return absl::StrCat(home, "/run/", name, ".pid"); }
  std::string ProcessFile(absl::string_view name) const { return absl::StrCat(home, "/run/", name, ".process"); }
  std::string Lock() const { return In("run/lock"); }
  // Of images: those of the registry, layers on their way to it, and what the node has of them.
  std::string Registry() const { return In("registry"); }
  std::string Spool() const { return In("spool"); }
  std::string Containers() const { return In("containers"); }
};

// Account that the services of an installation run as: the owner of its directory.
absl::StatusOr<uid_t> AccountOf(const Layout& layout);

// Resolves `given`, the value of --dir, which may be relative and may not exist yet. If it is empty, the directory is
// $RISEML_DIR, else /var/lib/riseml for root and $HOME/.riseml/local for other users.
absl::Status ResolveDirectory(const std::string& given, std::string* dir);

// Makes `dir` (mode 0700) with its run/ and logs/ unless it exists. Refuses a directory that holds anything but an
// installation, has a newer format, or belongs to another ordinary user.
absl::Status PrepareDirectory(const std::string& dir);

// Returns an error if `dir` holds no installation.
absl::Status RequireInstallation(const std::string& dir);

// Makes the subdirectories. Must be called with the rights of the account that owns them.
absl::Status MakeSubdirectories(const Layout& layout);

}  // namespace riseml::supervisor
