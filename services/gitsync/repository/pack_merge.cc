#include "services/gitsync/repository/pack_merge.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/gitsync/repository/object_database.h"
#include "services/gitsync/repository/pack_writer.h"
#include "services/gitsync/repository/repository.h"

namespace riseml::gitsync {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kSmallPackBytes = std::uintmax_t{64} << 20;

// Index files of small packs.
absl::StatusOr<std::vector<fs::path>> SmallPacks(const std::string& directory) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != ".idx") continue;
    std::error_code absent;
    const std::uintmax_t bytes = fs::file_size(fs::path(it->path()).replace_extension(".pack"), absent);
    if (!absent && bytes <= kSmallPackBytes) out.push_back(it->path());
  }
  if (error) return ErrnoError(error.value(), absl::StrCat("list ", directory));
  return out;
}

absl::StatusOr<PackFiles> WriteMerged(const std::vector<fs::path>& indexes, const std::string& directory) {
  RISEML_ASSIGN_OR_RETURN(ObjectDatabase objects, ObjectDatabase::Create());
  for (const fs::path& index : indexes) RISEML_RETURN_IF_ERROR(objects.AddPack(index.string()));
  RISEML_ASSIGN_OR_RETURN(const std::vector<git::ObjectId> ids, objects.List());
  RISEML_ASSIGN_OR_RETURN(const std::unique_ptr<PackWriter> writer, PackWriter::Create(directory));
  for (const git::ObjectId& id : ids) {
    RISEML_ASSIGN_OR_RETURN(const std::optional<ObjectDatabase::Info> info, objects.Find(id));
    if (!info) return absl::DataLossError(absl::StrCat("object ", git::Hex(id), " is listed and cannot be found"));
    RISEML_ASSIGN_OR_RETURN(const std::string content, objects.Read(info->kind, id));
    RISEML_ASSIGN_OR_RETURN(const git::ObjectId written, writer->Add(info->kind, content));
    if (written != id)
      return absl::DataLossError(absl::StrCat("object ", git::Hex(id), " has other content than its id says"));
  }
  return writer->Finish();
}

}  // namespace

absl::Status MergePacks(const std::string& repository_path, const std::string& temporary_directory) {
  const std::string directory = absl::StrCat(repository_path, "/objects/pack");
  RISEML_ASSIGN_OR_RETURN(const std::vector<fs::path> indexes, SmallPacks(directory));
  if (indexes.size() <= static_cast<std::size_t>(kManyPacks)) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(const PackFiles merged, WriteMerged(indexes, temporary_directory));
  RISEML_ASSIGN_OR_RETURN(Repository repository, Repository::Open(repository_path));
  RISEML_RETURN_IF_ERROR(repository.AddPack(merged));
  for (const fs::path& index : indexes) {
    // Removes the index first: a pack without one is a leftover.
    for (const fs::path& file : {index, fs::path(index).replace_extension(".pack")}) {
      std::error_code error;
      fs::remove(file, error);
      if (error) return ErrnoError(error.value(), absl::StrCat("remove ", file.string()));
    }
  }
  LogInfo("packs_merged", {{"repository", repository_path}, {"packs", indexes.size()}});
  return SyncDirectory(directory);
}

}  // namespace riseml::gitsync
