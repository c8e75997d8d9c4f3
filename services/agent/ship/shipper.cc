#include "services/agent/ship/shipper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "services/agent/attempt/journal.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr std::int64_t kSaveEvery = 8 << 20;
constexpr std::int64_t kFreeGrain = 1 << 20;
constexpr int kZstdLevel = 1;

}  // namespace

// Wakes the shipper: other threads through an eventfd, the kernel through inotify when a file of the attempt changes.
struct Shipper::Wakeup {
  UniqueFd event{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  UniqueFd changes{inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};

  void Wake() const {
    const std::uint64_t one = 1;
    (void)!write(event.get(), &one, sizeof one);  // fails only if the event is already set
  }
  void Clear() const {
    char buffer[4096];
    (void)!read(event.get(), buffer, sizeof(std::uint64_t));
    while (changes.valid() && read(changes.get(), buffer, sizeof buffer) > 0) {
    }
  }
};

Shipper::Shipper(AttemptDir dir, UniqueFd log, LogTransport& transport, ApiCalls api, ShipperOptions options,
                 const Clock& clock)
    : dir_(std::move(dir)),
      log_(std::move(log)),
      transport_(transport),
      api_(std::move(api)),
      options_(options),
      clock_(clock),
      masker_(options_.hidden),
      wakeup_(std::make_unique<Wakeup>()),
      compressor_(ZSTD_createCCtx()) {}

void Shipper::FreeCompressor::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }

Shipper::~Shipper() {
  call_.reset();  // its thread may wake us until it is destroyed
  results_.reset();
  backlog_.reset();
}

absl::Status Shipper::Open() {
  absl::StatusOr<internal::v1::ShipState> state = ReadMessage<internal::v1::ShipState>(dir_.shipped());
  if (!state.ok() && !HasReason(state.status(), Reason::kNotFound)) return state.status();
  if (!state.ok()) state = internal::v1::ShipState();
  complete_ = state->complete();
  saved_acknowledged_ = state->acknowledged_offset();
  saved_dropped_ = state->dropped_offset();
  saved_results_ = state->results_delivered();
  freed_ = saved_acknowledged_ / kFreeGrain * kFreeGrain;
  cursor_ = std::make_unique<ShipCursor>(freed_, saved_dropped_, options_.unshipped_limit);
  cursor_->SetFreed(freed_);
  for (const std::string& path : {dir_.log(), dir_.journal(), dir_.results()})
    if (wakeup_->changes.valid()) inotify_add_watch(wakeup_->changes.get(), path.c_str(), IN_MODIFY);
  results_ =
      std::make_unique<ResultWorker>(ResultDelivery(dir_.results(), saved_results_, api_.report_results),
                                     options_.first_backoff, options_.longest_backoff, [this] { wakeup_->Wake(); });
  saved_backlog_ = state->told_backlog();
  backlog_ = std::make_unique<BacklogReports>(api_.report_backlog, options_.backlog, saved_backlog_);
  return absl::OkStatus();
}

absl::Status Shipper::LookAtFiles(absl::Time now) {
  // Checks the end first, since all output was printed before it.
  struct stat journal {};
  if (!ended_ && stat(dir_.journal().c_str(), &journal) == 0 && journal.st_size != journal_bytes_) {
    RISEML_ASSIGN_OR_RETURN(const JournalContent content, ReadJournal(dir_.journal()));
    journal_bytes_ = journal.st_size;
    if (content.ended) {
      ended_ = true;
      end_seen_ = now;
      cursor_->SetEnd(content.ended->final_offset());
      results_->Look();  // the last results; the end waits for their delivery
    }
  }
  struct stat results {};
  if (stat(dir_.results().c_str(), &results) == 0 && results.st_size != results_bytes_) {
    results_bytes_ = results.st_size;
    results_->Look();
  }
  struct stat log {};
  if (fstat(log_.get(), &log) != 0) return ErrnoError(errno, absl::StrCat("look at ", dir_.log()));
  RISEML_ASSIGN_OR_RETURN(const std::int64_t size, SizeToShip(log.st_size));
  cursor_->SetSize(size, now);
  return absl::OkStatus();
}

void Shipper::OnCallOver(const absl::Status& why, absl::Time now) {
  call_.reset();
  cursor_->Disconnect();
  if (failures_ == 0) LogWarning("log_call_over", {{"error", why.ToString()}});
  const absl::Duration pause =
      std::min(options_.first_backoff * (1 << std::min(failures_, 10)), options_.longest_backoff);
  ++failures_;
  next_call_ = now + pause;
  refused_since_ = IsRefusal(why) ? std::min(refused_since_, now) : absl::InfiniteFuture();
  if (ended_ && now - refused_since_ >= options_.refusal_limit)
    given_up_ = absl::StrCat("loghandler no longer accepts the log: ", std::string(why.message()));
}

void Shipper::FollowCall(absl::Time now) {
  if (call_ == nullptr) {
    if (now < next_call_) return;
    begun_ = false;
    answers_ = 0;
    last_progress_ = now;
    call_ = transport_.Open(cursor_->acknowledged(), [this] { wakeup_->Wake(); });
  }
  const IngestProgress progress = call_->Progress();
  complete_ = progress.complete;
  if (complete_) return;
  const bool begins = !begun_ && progress.expected_offset.has_value();
  const bool answered = progress.answers > answers_;
  if (begins || answered) {
    answers_ = progress.answers;
    const std::int64_t before = cursor_->acknowledged();
    if (begins)
      cursor_->Begin(*progress.expected_offset);
    else
      cursor_->Acknowledge(*progress.expected_offset);
    // The same offset again means that loghandler lacks bytes before those that were sent.
    if (!begins && cursor_->acknowledged() <= before)
      return OnCallOver(absl::AbortedError(absl::StrCat("loghandler wants to go on at ", *progress.expected_offset)),
                        now);
    begun_ = true;
    last_progress_ = now;
  }
  if (answered) {
    failures_ = 0;
    refused_since_ = absl::InfiniteFuture();
  }
  const bool waiting = !begun_ || cursor_->in_flight() > 0 || cursor_->end_sent();
  if (progress.over)
    OnCallOver(*progress.over, now);
  else if (waiting && now - last_progress_ > options_.stall_limit)
    OnCallOver(absl::DeadlineExceededError("no answer"), now);
  else if (!waiting)
    last_progress_ = now;
}

absl::StatusOr<std::string> Shipper::ReadLog(std::int64_t first, std::int64_t length) const {
  std::string raw(static_cast<std::size_t>(length), '\0');
  std::int64_t done = 0;
  while (done < length) {
    const ssize_t n = pread(log_.get(), raw.data() + done, length - done, first + done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, absl::StrCat("read ", dir_.log()));
    if (n == 0) return absl::DataLossError(absl::StrCat(dir_.log(), " has become shorter"));
    done += n;
  }
  return raw;
}

// Returns the end of the hole that begins at `first`; `first` if there is none or if it is smaller than a block.
absl::StatusOr<std::int64_t> Shipper::EndOfHole(std::int64_t first) const {
  const std::int64_t known = cursor_->known_end();
  if (known - first < kBlockBytes) return first;
  const off_t data = lseek(log_.get(), first, SEEK_DATA);
  if (data < 0 && errno != ENXIO) return first;  // the file system does not support this
  const std::int64_t end = data < 0 ? known : std::min<std::int64_t>(data, known);
  if (end - first < kBlockBytes) return first;
  // Some file systems report bytes that were just written as a hole.
  RISEML_ASSIGN_OR_RETURN(const std::string block, ReadLog(first, kBlockBytes));
  return block.find_first_not_of('\0') == std::string::npos ? end : first;
}

// Turns holes into gaps. No job printed the bytes of a hole. One system call can make a hole of gigabytes, which must
// not be sent as zeros.
absl::StatusOr<ShipAction> Shipper::WithoutHole(const ShipAction& action) const {
  if (const auto* block = std::get_if<SendBlock>(&action)) {
    RISEML_ASSIGN_OR_RETURN(const std::int64_t end, EndOfHole(block->first));
    if (end > block->first) return SendGap{block->first, end - block->first};
  } else if (const auto* gap = std::get_if<SendGap>(&action)) {
    RISEML_ASSIGN_OR_RETURN(const std::int64_t end, EndOfHole(gap->first + gap->length));
    return SendGap{gap->first, end - gap->first};
  }
  return action;
}

// A hidden value may overlap these bytes on both sides. Bytes on the right that are not printed yet cannot complete a
// value, since SizeToShip holds back the beginning of an unfinished value.
absl::StatusOr<std::string> Shipper::ReadMasked(std::int64_t first, std::int64_t length) const {
  if (masker_.empty()) return ReadLog(first, length);
  struct stat log {};
  if (fstat(log_.get(), &log) != 0) return ErrnoError(errno, absl::StrCat("look at ", dir_.log()));
  const auto reach = static_cast<std::int64_t>(masker_.longest()) - 1;
  // Freed bytes read as zeros and complete no value; they were masked when they were stored.
  const std::int64_t begin = std::max<std::int64_t>(first - reach, 0);
  const std::int64_t end = std::max(std::min<std::int64_t>(first + length + reach, log.st_size), first + length);
  RISEML_ASSIGN_OR_RETURN(const std::string raw, ReadLog(begin, end - begin));
  return masker_.Mask(raw).substr(static_cast<std::size_t>(first - begin), static_cast<std::size_t>(length));
}

// Returns the size of the log without a tail that may be the beginning of a hidden value.
absl::StatusOr<std::int64_t> Shipper::SizeToShip(std::int64_t size) const {
  if (masker_.empty() || ended_) return size;
  const std::int64_t length = std::min(size, static_cast<std::int64_t>(masker_.longest()) - 1);
  RISEML_ASSIGN_OR_RETURN(const std::string tail, ReadLog(size - length, length));
  return size - static_cast<std::int64_t>(masker_.OpenEnd(tail));
}

absl::StatusOr<v1::IngestRequest> Shipper::Message(const ShipAction& action, absl::Time now) {
  v1::IngestRequest request;
  if (const auto* end = std::get_if<SendEnd>(&action)) {
    request.mutable_end()->set_final_offset(end->final_offset);
    return request;
  }
  v1::LogBlock& block = *request.mutable_block();
  if (const auto* gap = std::get_if<SendGap>(&action)) {
    block.set_first_offset(gap->first);
    block.set_raw_length(gap->length);
    block.set_coding(v1::LogBlock::GAP);
    block.add_times(0);
    block.add_times(absl::ToUnixMillis(now));
    return request;
  }
  const SendBlock& bytes = std::get<SendBlock>(action);
  RISEML_ASSIGN_OR_RETURN(const std::string raw, ReadMasked(bytes.first, bytes.length));
  const std::size_t length = raw.size();
  std::string& data = *block.mutable_data();
  data.resize(ZSTD_compressBound(length));
  const std::size_t packed =
      ZSTD_compressCCtx(compressor_.get(), data.data(), data.size(), raw.data(), length, kZstdLevel);
  if (ZSTD_isError(packed) == 0 && packed < length) {
    data.resize(packed);
    block.set_coding(v1::LogBlock::ZSTD);
  } else {
    data = raw;
  }
  block.set_first_offset(bytes.first);
  block.set_raw_length(bytes.length);
  block.set_crc(Crc32c(data));
  for (const std::int64_t value : cursor_->marks().For(bytes.first, bytes.length)) block.add_times(value);
  return request;
}

absl::StatusOr<absl::Time> Shipper::SendWhatIsDue(absl::Time now) {
  while (call_ != nullptr && begun_ && call_->CanSend()) {
    RISEML_ASSIGN_OR_RETURN(const ShipAction action, WithoutHole(cursor_->Next(now)));
    if (const auto* wait = std::get_if<WaitUntil>(&action)) return wait->time;
    if (std::holds_alternative<SendEnd>(action) && !results_->IsIdle()) break;
    RISEML_ASSIGN_OR_RETURN(const v1::IngestRequest request, Message(action, now));
    call_->Send(request);
    cursor_->Sent(action, now);
  }
  return absl::InfiniteFuture();
}

// Returns what waits to be stored; nothing if all is stored.
std::optional<Backlog> Shipper::Waiting(absl::Time now) const {
  if (complete_ || !given_up_.empty()) return std::nullopt;
  const std::int64_t bytes = cursor_->waiting_bytes(), lost = cursor_->lost_bytes();
  if (bytes > 0 || lost > 0)
    return Backlog{bytes, lost, cursor_->marks().TimeOf(cursor_->acknowledged()).value_or(now)};
  if (ended_) return Backlog{.oldest = end_seen_};
  return std::nullopt;
}

absl::Status Shipper::Save(bool complete, const std::string& given_up) {
  internal::v1::ShipState state;
  state.set_acknowledged_offset(cursor_->acknowledged());
  state.set_dropped_offset(cursor_->dropped());
  state.set_results_delivered(results_->delivered());
  state.set_complete(complete);
  state.set_given_up(given_up);
  state.set_told_backlog(backlog_->told());
  RISEML_RETURN_IF_ERROR(WriteMessage(dir_.shipped(), state));
  saved_acknowledged_ = state.acknowledged_offset();
  saved_dropped_ = state.dropped_offset();
  saved_results_ = state.results_delivered();
  saved_backlog_ = state.told_backlog();
  return absl::OkStatus();
}

absl::Status Shipper::SaveSometimes() {
  const bool worth_it = cursor_->acknowledged() - saved_acknowledged_ >= kSaveEvery ||
                        cursor_->dropped() != saved_dropped_ || results_->delivered() != saved_results_ ||
                        backlog_->told() != saved_backlog_;
  if (!worth_it) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(Save(false, ""));
  FreeStored();
  return absl::OkStatus();
}

void Shipper::FreeStored() {
  const std::int64_t until = std::max(saved_acknowledged_, saved_dropped_) / kFreeGrain * kFreeGrain;
  if (until <= freed_) return;
  // If the file system does not support this, the bytes stay until the attempt is forgotten.
  (void)fallocate(log_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, freed_, until - freed_);
  freed_ = until;
  cursor_->SetFreed(freed_);
}

void Shipper::Wait(absl::Time until, absl::Time now, bool files_too) {
  until = std::min(until, now + options_.poll_interval);
  if (call_ == nullptr) until = std::min(until, std::max(next_call_, now));
  pollfd fds[] = {{wakeup_->event.get(), POLLIN, 0}, {wakeup_->changes.get(), POLLIN, 0}};
  const timespec timeout = absl::ToTimespec(std::max(until - now, absl::ZeroDuration()));
  ppoll(fds, files_too && wakeup_->changes.valid() ? 2 : 1, &timeout, nullptr);
  wakeup_->Clear();
}

absl::Status Shipper::Run(std::stop_token stop) {
  RISEML_RETURN_IF_ERROR(Open());
  const std::stop_callback wake(stop, [this] { wakeup_->Wake(); });
  while (!complete_ && given_up_.empty() && !stop.stop_requested()) {
    const absl::Time now = clock_.Now();
    RISEML_RETURN_IF_ERROR(LookAtFiles(now));
    FollowCall(now);
    RISEML_ASSIGN_OR_RETURN(const absl::Time due, SendWhatIsDue(now));
    backlog_->Note(Waiting(now), now);
    RISEML_RETURN_IF_ERROR(SaveSometimes());
    if (complete_ || !given_up_.empty()) break;
    // While there are bytes to send, new ones need no wake-up.
    Wait(due, now, begun_ && !cursor_->has_unsent());
  }
  call_.reset();
  if (complete_ || !given_up_.empty()) return Save(true, given_up_);
  return absl::OkStatus();
}

}  // namespace riseml::agent
