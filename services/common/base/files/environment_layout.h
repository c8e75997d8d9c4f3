// The places of a user's environments: builder names them, and nodes fill them.
//
//   DIR/USER/work      one mount that all builds and jobs of the user can write to: the cache, what steps made, and
//                      environments that are being built; files can be linked from one to the other
//   DIR/USER/KEY       an environment whose build ended well: moved here, where no job can change it
//   DIR/USER/work/KEY  its path, since virtual environments cannot be moved: then a link to ../KEY
//
// Names below `work` belong to jobs, which may put anything there. Outside a sandbox, such a name is opened only as a
// plain file or directory.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace riseml {

inline constexpr char kWorkName[] = "work";

// The path of an environment: `environments`/USER/work/KEY.
std::string PathOfEnvironment(absl::string_view environments, absl::string_view user, absl::string_view key);

// Returns the path to which the environment at `path` is moved when it is complete; absent for other paths.
std::optional<std::string> SealedPathOf(absl::string_view path);

}  // namespace riseml
