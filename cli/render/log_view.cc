#include "cli/render/log_view.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/client/target.h"
#include "cli/render/format.h"
#include "cli/render/imitation.h"
#include "services/common/logtext/sanitize.h"

namespace riseml::cli {
namespace {

constexpr int kPalette[] = {36, 35, 34, 33, 32, 96, 95, 94, 93, 92};
constexpr std::size_t kMaxColors = 64;     // bytes of sequences carried over to the next line
constexpr std::size_t kMaxTimes = 10'000;  // marks kept for one unfinished line

// Returns the colours that are on after `text`, when `before` was on before it.
std::string ColorsAfter(std::string before, absl::string_view text) {
  for (std::size_t at = text.find("\x1b["); at != absl::string_view::npos; at = text.find("\x1b[", at + 2)) {
    std::size_t end = at + 2;
    while (end < text.size() && (absl::ascii_isdigit(text[end]) || text[end] == ';')) ++end;
    if (end == text.size() || text[end] != 'm') continue;
    const absl::string_view code = text.substr(at + 2, end - at - 2);
    if (code.empty() || code == "0") {
      before.clear();
    } else if (before.size() + code.size() + 3 <= kMaxColors) {
      absl::StrAppend(&before, text.substr(at, end + 1 - at));
    }
  }
  return before;
}

}  // namespace

void LogView::Expect(const std::string& resource) { NameOf(resource); }

LogView::Name& LogView::NameOf(const std::string& resource) {
  const auto [it, added] = names_.try_emplace(resource);
  if (added) {
    it->second.shown = ShownId(resource, options_.caller);
    it->second.columns = Columns(it->second.shown);
    name_width_ = std::max(name_width_, it->second.columns);
  }
  return it->second;
}

std::string LogView::Prefix(const std::string& resource, std::optional<absl::Time> time) {
  Name& name = NameOf(resource);
  if (name.color < 0) name.color = next_color_++ % static_cast<int>(std::size(kPalette));
  std::string out = absl::StrCat(name.shown, std::string(name_width_ + 1 - name.columns, ' '), "|");
  if (options_.terminal.color) out = absl::StrCat("\x1b[", kPalette[name.color], "m", out, "\x1b[0m");
  if (options_.timestamps && time) absl::StrAppend(&out, " [", Utc(*time), "]");
  return absl::StrCat(out, " ");
}

// Returns the beginning of a line that a job has printed. Only visible characters count, not colours.
absl::string_view LogView::Mark(const std::string& resource, absl::string_view text) {
  const std::string seen = logtext::Sanitize(text, false);
  const bool imitates = LooksLikeOurs(seen) || (NameOf(resource).last_is_ours && LooksLikeExplanation(seen));
  return imitates ? kPrintedMark : "";
}

std::string LogView::Clear() {
  std::string out;
  if (drawn_ != Drawn::kNothing) out = "\r\x1b[K";
  if (continues_) out = "\n";
  drawn_ = Drawn::kNothing;
  continues_.reset();
  return out;
}

std::string LogView::Note(const std::string& resource, absl::string_view text, Style style) {
  NameOf(resource).last_is_ours = true;
  return absl::StrCat(Clear(), Prefix(resource, std::nullopt), Styled(options_.terminal, style, text), "\n");
}

std::string LogView::Show(const std::vector<StateLine>& states) {
  std::string out = states.empty() ? "" : Clear();
  for (const StateLine& state : states) {
    NameOf(state.name).last_is_ours = true;
    for (const std::string& line : state.lines) {
      absl::StrAppend(&out, Prefix(state.name, state.time), Styled(options_.terminal, Style::kBold, line), "\n");
    }
  }
  return out;
}

LogView::Stream& LogView::StreamOf(const std::string& job_uid, int attempt) {
  Stream& stream = streams_[Key(job_uid, attempt)];
  if (stream.resource.empty()) stream.resource = job_uid;
  return stream;
}

std::string LogView::Colored(Stream& stream, absl::string_view text) const {
  if (!options_.terminal.color) return logtext::Sanitize(text, false);
  const std::string out = logtext::Sanitize(absl::StrCat(stream.colors, text), true);
  stream.colors = ColorsAfter(std::move(stream.colors), text);
  return out;
}

std::string LogView::LineText(Stream& stream, const Key& key, const logtext::Line& line) {
  while (stream.times.size() > 1 && stream.times[1].first <= line.first_offset) stream.times.pop_front();
  const bool timed = !stream.times.empty() && stream.times.front().first <= line.first_offset;
  std::string out;
  if (continues_ != key) {
    out = absl::StrCat(Clear(),
                       Prefix(stream.resource, timed ? std::optional(stream.times.front().second) : std::nullopt),
                       Mark(stream.resource, line.text));
    NameOf(stream.resource).last_is_ours = false;
  }
  absl::StrAppend(&out, Colored(stream, line.text));
  if (line.kind == logtext::Line::Kind::kPiece) {
    continues_ = key;
  } else {
    continues_.reset();
    absl::StrAppend(&out, "\n");
  }
  return out;
}

std::string LogView::OpenLine(const Key& key) {
  const Stream& stream = streams_[key];
  if (!options_.terminal.tty || continues_ || !stream.folder || stream.folder->open_line().empty()) return "";
  const std::string prefix = Prefix(stream.resource, std::nullopt);
  const std::string text = absl::StrCat(Mark(stream.resource, stream.folder->open_line()),
                                        logtext::Sanitize(stream.folder->open_line(), false));
  drawn_ = Drawn::kOpenLine;
  return absl::StrCat(prefix, FirstColumns(text, options_.terminal.width - 1 - Columns(prefix)));
}

std::string LogView::DrawLive(absl::string_view text) {
  if (!options_.terminal.tty || continues_ || drawn_ == Drawn::kOpenLine) return "";
  if (text.empty()) return Clear();
  const absl::string_view line = FirstColumns(text, options_.terminal.width - 1);
  drawn_ = Drawn::kLive;
  return absl::StrCat("\r", Styled(options_.terminal, Style::kDim, line), "\x1b[K");
}

std::string LogView::Chunk(const v1::LogChunk& chunk) {
  const Key key(chunk.job_uid(), chunk.attempt());
  Stream& stream = StreamOf(chunk.job_uid(), chunk.attempt());
  if (!stream.folder) stream.folder.emplace(chunk.first_offset());
  for (const v1::TimeMark& mark : chunk.times()) {
    if (const auto time = TimeOf(mark.time())) stream.times.emplace_back(mark.offset(), *time);
  }
  if (stream.times.size() > kMaxTimes) stream.times.erase(stream.times.begin() + 1, stream.times.end() - kMaxTimes / 2);
  std::string out = drawn_ != Drawn::kNothing ? Clear() : "";
  stream.folder->Append(chunk.data(),
                        [&](const logtext::Line& line) { absl::StrAppend(&out, LineText(stream, key, line)); });
  return absl::StrCat(out, OpenLine(key));
}

std::string LogView::Show(const v1::FollowResponse& response) {
  const auto flush = [this](Stream& stream, const Key& key) {
    std::string out = drawn_ != Drawn::kNothing ? Clear() : "";
    if (stream.folder) {
      stream.folder->Flush([&](const logtext::Line& line) { absl::StrAppend(&out, LineText(stream, key, line)); });
    }
    return out;
  };
  switch (response.event_case()) {
    case v1::FollowResponse::kStream: {
      const v1::LogStream& announced = response.stream();
      StreamOf(announced.job_uid(), announced.attempt()).resource = announced.job();
      Expect(announced.job());
      if (announced.attempt() <= 1) return "";
      return Note(announced.job(), absl::StrCat("--> log of attempt ", announced.attempt()), Style::kBold);
    }
    case v1::FollowResponse::kChunk:
      return Chunk(response.chunk());
    case v1::FollowResponse::kEnd: {
      const v1::LogEnd& end = response.end();
      Stream& stream = StreamOf(end.job_uid(), end.attempt());
      std::string out = flush(stream, Key(end.job_uid(), end.attempt()));
      if (!end.complete() && end.error().empty()) {
        absl::StrAppend(&out,
                        Note(stream.resource, absl::StrCat("log is cut at ", end.final_offset(), " bytes: node lost"),
                             Style::kRed));
      }
      return out;
    }
    case v1::FollowResponse::kGap: {
      const v1::LogGap& gap = response.gap();
      const Key key(gap.job_uid(), gap.attempt());
      Stream& stream = StreamOf(gap.job_uid(), gap.attempt());
      std::string out = flush(stream, key);
      absl::StrAppend(&out, Note(stream.resource, absl::StrCat(gap.length(), " bytes of the log were lost on the node"),
                                 Style::kRed));
      if (!stream.folder) stream.folder.emplace(gap.first_offset());
      stream.folder->Seek(gap.first_offset() + gap.length(), [](const logtext::Line&) {});
      return out;
    }
    default:
      return "";
  }
}

std::string LogView::Finish() {
  std::string out = drawn_ != Drawn::kNothing ? Clear() : "";
  for (auto& entry : streams_) {
    auto& stream = entry.second;
    if (!stream.folder) continue;
    stream.folder->Flush(
        [&](const logtext::Line& line) { absl::StrAppend(&out, LineText(stream, entry.first, line)); });
  }
  return absl::StrCat(out, Clear());
}

}  // namespace riseml::cli
