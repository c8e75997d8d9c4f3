#include "services/loghandler/partitions/partition_claims.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::loghandler {
namespace {

constexpr std::int64_t kMaxBytes = 4096;
constexpr int kTries = 100;

struct ClaimName {
  int partition = 0;
  std::int64_t generation = 0;
};

// Reads "<partition>.<generation>.pb".
std::optional<ClaimName> ParseClaim(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  ClaimName name;
  if (parts.size() != 3 || parts[2] != "pb" || !absl::SimpleAtoi(parts[0], &name.partition) ||
      !absl::SimpleAtoi(parts[1], &name.generation))
    return std::nullopt;
  return name;
}

absl::StatusOr<std::vector<std::string>> FileNames(const std::string& dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(dir, error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename().string());
  if (error && error != std::errc::no_such_file_or_directory)
    return ErrnoError(error.value(), absl::StrCat("list ", dir));
  return names;
}

}  // namespace

PartitionClaims::PartitionClaims(std::string dir, std::string topic) : dir_(std::move(dir)), topic_(std::move(topic)) {}

std::string PartitionClaims::SourceName(int partition, std::int64_t generation) const {
  return absl::StrFormat("%s-%d.%012d", topic_, partition, generation);
}

std::string PartitionClaims::ClaimPath(int partition, std::int64_t generation) const {
  return absl::StrFormat("%s/claims/%d.%012d.pb", dir_, partition, generation);
}

absl::StatusOr<std::map<int, PartitionClaims::Owner>> PartitionClaims::Owners() const {
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> names, FileNames(dir_ + "/claims"));
  std::map<int, Owner> owners;
  for (const std::string& text : names) {
    const std::optional<ClaimName> name = ParseClaim(text);
    if (!name.has_value()) continue;
    Owner& owner = owners[name->partition];
    owner.generation = std::max(owner.generation, name->generation);
  }
  for (auto& [partition, owner] : owners) {
    const absl::StatusOr<std::string> bytes = ReadFile(ClaimPath(partition, owner.generation), kMaxBytes);
    if (HasReason(bytes.status(), Reason::kNotFound)) continue;  // a newer claim has just removed it
    RISEML_RETURN_IF_ERROR(bytes.status());
    if (!owner.claim.ParseFromString(*bytes))
      return absl::DataLossError(
          absl::StrCat(ClaimPath(partition, owner.generation), " is damaged; remove it and restart the log handler"));
  }
  return owners;
}

// Makes the file of the next generation. A link is made only if no other process has taken the number.
absl::StatusOr<std::int64_t> PartitionClaims::Next(int partition, const internal::v1::PartitionClaim& claim) {
  RISEML_RETURN_IF_ERROR(MakeDirectories(dir_ + "/claims", 0700));
  const std::string mine = absl::StrCat(dir_, "/claims/.", NewUuid());
  RISEML_RETURN_IF_ERROR(WriteFileAtomically(mine, claim.SerializeAsString(), 0600));
  absl::StatusOr<std::int64_t> made =
      Error(Reason::kUnavailable, absl::StrCat("claim partition ", partition, ": too many log handlers try at once"));
  for (int i = 0; i < kTries; ++i) {
    const auto owners = Owners();
    if (!owners.ok()) {
      made = owners.status();
      break;
    }
    const auto sources = Sources(partition);
    if (!sources.ok()) {
      made = sources.status();
      break;
    }
    const auto it = owners->find(partition);
    const std::int64_t claimed = it == owners->end() ? 0 : it->second.generation;
    const std::int64_t generation = std::max(claimed, sources->empty() ? 0 : sources->rbegin()->first) + 1;
    if (link(mine.c_str(), ClaimPath(partition, generation).c_str()) == 0) {
      made = generation;
      break;
    }
    if (errno != EEXIST) {
      made = ErrnoError(errno, absl::StrCat("make ", ClaimPath(partition, generation)));
      break;
    }
  }
  unlink(mine.c_str());
  RISEML_RETURN_IF_ERROR(made.status());
  RISEML_RETURN_IF_ERROR(SyncDirectory(dir_ + "/claims"));
  return made;
}

// Files of positions of the partition, by generation.
absl::StatusOr<std::map<std::int64_t, std::string>> PartitionClaims::Sources(int partition) const {
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> names, FileNames(dir_ + "/sources"));
  std::map<std::int64_t, std::string> sources;
  const std::string prefix = topic_ + "-";
  for (const std::string& text : names) {
    if (!absl::StartsWith(text, prefix)) continue;
    const std::optional<ClaimName> name = ParseClaim(absl::string_view(text).substr(prefix.size()));
    if (name.has_value() && name->partition == partition)
      sources[name->generation] = absl::StrCat(dir_, "/sources/", text);
  }
  return sources;
}

absl::StatusOr<ClaimedPartition> PartitionClaims::Claim(int partition, const internal::v1::PartitionClaim& claim) {
  ClaimedPartition claimed;
  RISEML_ASSIGN_OR_RETURN(claimed.generation, Next(partition, claim));
  claimed.source = SourceName(partition, claimed.generation);
  RISEML_ASSIGN_OR_RETURN(const auto sources, Sources(partition));
  internal::v1::LogSourcePosition position;
  for (auto it = sources.rbegin(); it != sources.rend(); ++it) {
    const absl::StatusOr<std::string> bytes = ReadFile(it->second, kMaxBytes);
    if (bytes.ok() && position.ParseFromString(*bytes) && position.next_position() >= 0) break;
    position.Clear();  // unreadable: an older one is behind the data, which is harmless
  }
  claimed.position = position.next_position();
  claimed.last_crc = position.last_record_crc();
  RISEML_RETURN_IF_ERROR(MakeDirectories(dir_ + "/sources", 0700));
  const std::string own = absl::StrCat(dir_, "/sources/", claimed.source, ".pb");
  RISEML_RETURN_IF_ERROR(WriteFileAtomically(own, position.SerializeAsString(), 0600));
  // Nobody needs the older ones now. A file that cannot be removed is removed by the next claim.
  for (const auto& [generation, path] : sources)
    if (generation < claimed.generation) unlink(path.c_str());
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> names, FileNames(dir_ + "/claims"));
  for (const std::string& text : names) {
    const std::optional<ClaimName> name = ParseClaim(text);
    if (name.has_value() && name->partition == partition && name->generation < claimed.generation)
      unlink(ClaimPath(partition, name->generation).c_str());
  }
  return claimed;
}

}  // namespace riseml::loghandler
