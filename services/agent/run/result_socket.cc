#include "services/agent/run/result_socket.h"

#include <fcntl.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/utf8.h"

namespace riseml::agent {
namespace {

constexpr std::size_t kMaxConnections = 64;
constexpr int kEventsAtOnce = 16;
constexpr std::size_t kMaxResultName = 255;
constexpr absl::string_view kAccepted = "{\"ok\":true}\n";

std::string Refusal(const absl::Status& status) {
  google::protobuf::Struct answer;
  (*answer.mutable_fields())["ok"].set_bool_value(false);
  (*answer.mutable_fields())["error"].set_string_value(std::string(status.message()));
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(answer, &text).ok()) return "{\"ok\":false}\n";
  return text + "\n";
}

bool IsPlain(const google::protobuf::Value& value) {
  return value.kind_case() == google::protobuf::Value::kNumberValue ||
         value.kind_case() == google::protobuf::Value::kStringValue ||
         value.kind_case() == google::protobuf::Value::kBoolValue;
}

absl::Status Watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoError(errno, "watch the socket for results");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ParseResultLine(absl::string_view line) {
  // The JSON reader accepts other bytes; api would refuse the report later, when the job cannot be told.
  if (!IsValidUtf8(line)) return Error(Reason::kInvalidArgument, "a name or a text is not UTF-8; write it as UTF-8");
  google::protobuf::Struct report;
  const auto parsed = google::protobuf::util::JsonStringToMessage(std::string(line), &report);
  if (!parsed.ok())
    return Error(Reason::kInvalidArgument, absl::StrCat("not a JSON object: ", std::string(parsed.message())));
  const auto results = report.fields().find("results");
  if (results == report.fields().end() || !results->second.has_struct_value() || report.fields_size() != 1)
    return Error(Reason::kInvalidArgument, "must be {\"results\": {NAME: VALUE, …}}");
  const google::protobuf::Struct& values = results->second.struct_value();
  if (values.fields().size() > kMaxResults)
    return Error(Reason::kLimitExceeded, absl::StrCat("more than ", kMaxResults, " results in one report"));
  // Refuses here what api would refuse, since the job can still be told.
  for (const auto& [name, value] : values.fields())
    if (!IsPlain(value) || name.empty() || name.size() > kMaxResultName || absl::StrContains(name, '\0') ||
        absl::StrContains(value.string_value(), '\0'))
      return Error(Reason::kInvalidArgument,
                   absl::StrCat("result '", absl::CHexEscape(name),
                                "' must be a number, a text or a boolean with a name of 1 to 255 characters; U+0000 is "
                                "not allowed"));
  std::string text;
  const auto printed = google::protobuf::util::MessageToJsonString(values, &text);
  if (!printed.ok()) return Error(Reason::kInvalidArgument, std::string(printed.message()));
  if (text.size() > kMaxResultLine)  // some characters take six bytes in JSON
    return Error(Reason::kLimitExceeded, absl::StrCat("a report has at most ", kMaxResultLine, " bytes as JSON"));
  return text;
}

absl::StatusOr<std::unique_ptr<ResultSocket>> ResultSocket::Listen(const std::string& path, int spool,
                                                                   const std::string& refusal) {
  std::unique_ptr<ResultSocket> made(new ResultSocket(spool, refusal));
  made->epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  made->listener_ = UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made->epoll_.valid() || !made->listener_.valid()) return ErrnoError(errno, "make a socket for results");
  // A socket's path has at most 107 bytes. A path through the descriptor of its directory is always short enough.
  const std::filesystem::path file(path);
  RISEML_ASSIGN_OR_RETURN(const UniqueFd directory, OpenFile(file.parent_path().string(), O_PATH | O_DIRECTORY));
  const std::string short_path = absl::StrCat("/proc/self/fd/", directory.get(), "/", file.filename().string());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (short_path.size() >= sizeof address.sun_path)
    return absl::InternalError(absl::StrCat("socket name too long: ", path));
  std::memcpy(address.sun_path, short_path.data(), short_path.size());
  unlink(path.c_str());
  if (bind(made->listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(made->listener_.get(), SOMAXCONN) != 0)
    return ErrnoError(errno, absl::StrCat("listen at ", path));
  RISEML_RETURN_IF_ERROR(Watch(made->epoll_.get(), made->listener_.get()));
  return made;
}

bool ResultSocket::Serve() {
  epoll_event events[kEventsAtOnce];
  const int n = epoll_wait(epoll_.get(), events, kEventsAtOnce, 0);
  for (int i = 0; i < n; ++i) {
    if (events[i].data.fd == listener_.get())
      Accept();
    else
      Read(events[i].data.fd);
  }
  return n > 0;
}

void ResultSocket::Accept() {
  if (connections_.size() >= kMaxConnections) {
    // Further connections wait in the queue of the socket until one of these is closed.
    full_ = epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.get(), nullptr) == 0;
    return;
  }
  UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) return;
  if (!Watch(epoll_.get(), fd.get()).ok()) return;
  const int key = fd.get();
  connections_[key].fd = std::move(fd);
}

void ResultSocket::Read(int fd) {
  const auto it = connections_.find(fd);
  if (it == connections_.end()) return;
  std::string& unread = it->second.unread;
  char buffer[16384];
  const ssize_t n = read(fd, buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  bool keep = n > 0;
  if (n > 0) unread.append(buffer, n);
  for (std::size_t end = unread.find('\n'); keep && end != std::string::npos; end = unread.find('\n')) {
    const std::string answer = Answer(absl::string_view(unread.data(), end));
    unread.erase(0, end + 1);
    keep = send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(answer.size());
  }
  if (unread.size() > kMaxResultLine) {
    const std::string answer =
        Refusal(Error(Reason::kLimitExceeded, absl::StrCat("a report has at most ", kMaxResultLine, " bytes")));
    (void)send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
    keep = false;
  }
  if (keep) return;
  connections_.erase(it);
  if (full_) full_ = !Watch(epoll_.get(), listener_.get()).ok();
}

std::string ResultSocket::Answer(absl::string_view line) {
  const absl::Status stored = Store(line);
  return stored.ok() ? std::string(kAccepted) : Refusal(stored);
}

absl::Status ResultSocket::Store(absl::string_view line) {
  if (line.size() > kMaxResultLine)
    return Error(Reason::kLimitExceeded, absl::StrCat("a report has at most ", kMaxResultLine, " bytes"));
  if (!refusal_.empty()) return absl::FailedPreconditionError(refusal_);
  RISEML_ASSIGN_OR_RETURN(const std::string results, ParseResultLine(line));
  struct stat spool {};
  if (fstat(spool_, &spool) != 0) return ErrnoError(errno, "look at the spool of results");
  if (spool.st_size + static_cast<std::int64_t>(results.size()) > kMaxSpoolBytes)
    return Error(Reason::kLimitExceeded, "too many results were reported in this job");
  RISEML_RETURN_IF_ERROR(While("store results", WriteAll(spool_, results + "\n")));
  if (fdatasync(spool_) != 0) return ErrnoError(errno, "store results");
  return absl::OkStatus();
}

}  // namespace riseml::agent
