#include "cli/render/log_backlog.h"

#include "absl/strings/str_cat.h"
#include "cli/client/target.h"
#include "cli/render/format.h"

namespace riseml::cli {

std::string BacklogText(const v1::Attempt& attempt) {
  if (!attempt.has_log_backlog()) return "";
  const v1::LogBacklog& backlog = attempt.log_backlog();
  const std::string since = UtcOrNever(backlog.oldest_time());
  if (backlog.bytes() == 0 && backlog.lost_bytes() == 0)
    return absl::StrCat("the end of the log is not stored yet, since ", since);
  std::string out =
      absl::StrCat(Size(backlog.bytes()), " of the log are not stored yet, the oldest of them since ", since);
  if (backlog.lost_bytes() > 0)
    absl::StrAppend(&out, "; ", Size(backlog.lost_bytes()), " before them are lost: more waited than the node keeps");
  return out;
}

std::string BacklogLines(const v1::Job& job, const std::string& caller) {
  std::string out;
  for (const v1::Attempt& attempt : job.attempts())
    if (const std::string text = BacklogText(attempt); !text.empty())
      absl::StrAppend(&out, ShownId(job.name(), caller), ": ", text, "\n");
  return out;
}

std::string LogLine(const v1::Attempt& attempt) {
  const std::string begin = absl::StrCat("Log: attempt ", attempt.number());
  if (attempt.log_state() == v1::Attempt::TRUNCATED)
    return absl::StrCat(begin, " is cut at ", attempt.log_bytes(), " bytes\n");
  const std::string waits = BacklogText(attempt);
  return waits.empty() ? "" : absl::StrCat(begin, ": ", waits, "\n");
}

}  // namespace riseml::cli
