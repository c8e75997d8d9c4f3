#include "services/common/base/log.h"

#include <unistd.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "services/common/base/clock.h"

namespace riseml {
namespace {

std::string& LogName() {
  static std::string* const name = new std::string("riseml");
  return *name;
}

constexpr absl::string_view kLevelNames[] = {"INFO", "WARNING", "ERROR"};

std::string Escaped(absl::string_view value) {
  const bool plain = !value.empty() && value.find_first_of(" \"=\\\n\r\t") == absl::string_view::npos;
  if (plain && absl::CEscape(value) == value) return std::string(value);
  return absl::StrCat("\"", absl::Utf8SafeCEscape(value), "\"");
}

}  // namespace

void SetLogName(absl::string_view name) { LogName() = std::string(name); }

void Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields) {
  std::string line = absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", SystemClock().Now(), absl::UTCTimeZone()),
                                  " ", kLevelNames[static_cast<int>(level)], " ", LogName(), " event=", event);
  for (const LogField& field : fields) absl::StrAppend(&line, " ", field.key, "=", Escaped(field.value));
  line += '\n';
  // One write call per line, so that lines of several threads and processes do not mix. Ignores errors: there is
  // nowhere to report them.
  [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace riseml
