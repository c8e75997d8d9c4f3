#include "cli/render/environment_view.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/client/target.h"
#include "cli/render/format.h"
#include "cli/render/table.h"
#include "cli/render/terminal.h"
#include "services/common/base/names.h"

namespace riseml::cli {
namespace {

constexpr std::size_t kShortKeyDigits = 8;
constexpr int kMostUsersShown = 3;

std::string UsedBy(const Viewer& viewer, const v1::StoredEnvironment& environment) {
  std::string out;
  for (int i = 0; i < std::min(environment.used_by_size(), kMostUsersShown); ++i)
    absl::StrAppend(&out, i == 0 ? "" : ", ", ShownId(environment.used_by(i), viewer.caller));
  const int more = environment.used_by_size() - kMostUsersShown;
  if (more > 0) absl::StrAppend(&out, " and ", more, " more");
  return out.empty() ? "-" : out;
}

}  // namespace

std::string ShortKey(absl::string_view key) { return std::string(key.substr(0, kShortKeyDigits)); }

std::string EnvironmentLines(const Viewer& viewer, const v1::UsedEnvironment& environment) {
  if (environment.key().empty()) return absl::StrCat("Builds because: ", OneLine(environment.built_because()), "\n");
  std::string out = absl::StrCat("Environment: ", ShortKey(OneLine(environment.key())));
  if (!environment.built_by().empty())
    absl::StrAppend(&out, ", built by ", ShownId(environment.built_by(), viewer.caller));
  if (!environment.built_because().empty())
    absl::StrAppend(&out, "\nBuilt because: ", OneLine(environment.built_because()));
  return absl::StrCat(out, "\n");
}

std::string EnvironmentList(const Viewer& viewer, const v1::ListEnvironmentsResponse& environments) {
  std::vector<std::vector<std::string>> rows;
  std::int64_t bytes = 0;
  for (const v1::StoredEnvironment& environment : environments.environments()) {
    bytes += environment.bytes();
    rows.push_back({ShortKey(OneLine(environment.key())), Size(environment.bytes()),
                    environment.built_by().empty() ? "-" : ShownId(environment.built_by(), viewer.caller),
                    Since(TimeOf(environment.create_time()), viewer.now),
                    Since(TimeOf(environment.last_use_time()), viewer.now), UsedBy(viewer, environment)});
  }
  return absl::StrCat(
      Table(viewer.terminal,
            {{"KEY", 8}, {"SIZE", 9}, {"BUILT BY", 9}, {"BUILT", 11}, {"LAST USE", 11}, {"USED BY", 8}}, rows),
      rows.empty() ? "\nNo environments.\n"
                   : absl::StrCat("\n", rows.size(), rows.size() == 1 ? " environment, " : " environments, ",
                                  Size(bytes), "\n"));
}

}  // namespace riseml::cli
