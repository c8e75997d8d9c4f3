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

// Shows `<name>| <text>` lines, one colour a job; progress bars folded, control sequences removed. On a terminal the
// line that is not finished yet is drawn and drawn over. Jobs that are known before the first line make prefixes of
// equal width.
//
// Whatever a job prints, no line of it looks like one of ours: one that does is shown as "printed: --> FINISHED".
class LogView {
 public:
  explicit LogView(LogViewOptions options) : options_(std::move(options)) {}

  // An experiment or job that may appear, by its resource name.
  void Expect(const std::string& resource);

  std::string Show(const std::vector<StateLine>& states);
  std::string Show(const v1::FollowResponse& response);

  // Draws a line about what is under way, on a terminal and where no unfinished line of a log stands. Whatever comes
  // next erases it.
  std::string DrawLive(absl::string_view text);

  // Makes room for other text on a line of its own: erases what is drawn, ends a line that does not go on.
  std::string Clear();

  // Ends what is unfinished; no more will be shown.
  std::string Finish();

 private:
  using Key = std::pair<std::string, int>;
  // The content of the terminal's last line, which is drawn over.
  enum class Drawn { kNothing, kOpenLine, kLive };
  struct Stream {
    std::string resource;
    std::optional<logtext::LineFolder> folder;              // once the first offset is known
    std::deque<std::pair<std::int64_t, absl::Time>> times;  // by offset
    std::string colors;                                     // sequences a line has left switched on
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
