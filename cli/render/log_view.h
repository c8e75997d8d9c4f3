// Logs of several jobs as lines with prefixes. Pure: messages in, text out.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/render/state_lines.h"
#include "cli/render/terminal.h"
#include "riseml/v1/log.pb.h"
#include "services/common/logtext/fold.h"

namespace riseml::cli {

struct LogViewOptions {
  Terminal terminal;
  std::string caller;
  bool timestamps = false;
};

// Shows `<name>| <text>` lines, one colour for each job. Folds progress bars and removes control sequences. On a
// terminal the unfinished line is drawn and drawn again. Prefixes of jobs that are known before the first line have
// equal width.
//
// Output of a job that looks like one of our own lines is marked, e.g. as "printed: --> FINISHED".
class LogView {
 public:
  explicit LogView(LogViewOptions options) : options_(std::move(options)) {}

  // An experiment or job that may appear, by its resource name.
  void Expect(const std::string& resource);

  std::string Show(const std::vector<StateLine>& states);
  std::string Show(const v1::FollowResponse& response);

  // Draws a progress line, only on a terminal and only if no line of a log is unfinished. The next output erases it.
  std::string DrawLive(absl::string_view text);

  // Prepares a fresh line for other text: erases the progress line, and ends a line that will not continue.
  std::string Clear();

  // Ends any unfinished line. The last call.
  std::string Finish();

 private:
  using Key = std::pair<std::string, int>;
  // The content of the terminal's last line, which is drawn over.
  enum class Drawn { kNothing, kOpenLine, kLive };
  struct Stream {
    std::string resource;
    std::optional<logtext::LineFolder> folder;              // once the first offset is known
    std::deque<std::pair<std::int64_t, absl::Time>> times;  // by offset
    std::string colors;                                     // colour sequences that a line has left in effect
  };

  struct Name {
    std::string shown;
    int columns = 0;
    int color = -1;             // place in the palette; given with the first line
    bool last_is_ours = false;  // of the lines with this prefix
  };

  Name& NameOf(const std::string& resource);
  std::string Prefix(const std::string& resource, std::optional<absl::Time> time);
  absl::string_view Mark(const std::string& resource, absl::string_view text);
  std::string Note(const std::string& resource, absl::string_view text, Style style);
  std::string Chunk(const v1::LogChunk& chunk);
  std::string LineText(Stream& stream, const Key& key, const logtext::Line& line);
  std::string Colored(Stream& stream, absl::string_view text) const;
  std::string OpenLine(const Key& key);
  Stream& StreamOf(const std::string& job_uid, int attempt);

  LogViewOptions options_;
  int name_width_ = 0;
  int next_color_ = 0;
  std::map<std::string, Name> names_;  // by resource
  std::map<Key, Stream> streams_;
  Drawn drawn_ = Drawn::kNothing;
  std::optional<Key> continues_;  // whose line goes on where the cursor is
};

}  // namespace riseml::cli
