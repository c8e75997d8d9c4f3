#include "services/agent/run/report.h"

#include <fcntl.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/agent/run/result_socket.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/utf8.h"

namespace riseml::agent {
namespace {

using google::protobuf::Value;

constexpr int kTimeoutSeconds = 60;                        // per system call; includes writing results to disk
constexpr double kTooLargeWhole = 9'007'199'254'740'992.;  // 2^53: from here on whole numbers lose digits

std::optional<double> ParseNumber(absl::string_view text) {
  // SimpleAtod also accepts "inf", "nan" and blanks; these stay text as they were written.
  double number = 0;
  if (text.find_first_not_of("0123456789.+-eE") != absl::string_view::npos || !absl::SimpleAtod(text, &number) ||
      !std::isfinite(number))
    return std::nullopt;
  const bool whole = text.find_first_of(".eE") == absl::string_view::npos;
  if (whole && std::abs(number) >= kTooLargeWhole) return std::nullopt;
  return number;
}

Value Typed(absl::string_view text, bool all_text) {
  Value value;
  const std::optional<double> number = all_text ? std::nullopt : ParseNumber(text);
  if (number)
    value.set_number_value(*number);
  else if (!all_text && (text == "true" || text == "True"))
    value.set_bool_value(true);
  else if (!all_text && (text == "false" || text == "False"))
    value.set_bool_value(false);
  else
    value.set_string_value(std::string(text));
  return value;
}

// Address of the socket's path. If the path is too long for an address, uses a name relative to its open directory.
absl::StatusOr<sockaddr_un> AddressOf(const std::string& socket, UniqueFd& directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = socket;
  if (path.size() >= sizeof address.sun_path) {
    const std::filesystem::path file(socket);
    RISEML_ASSIGN_OR_RETURN(directory, OpenFile(file.parent_path().string(), O_PATH | O_DIRECTORY));
    path = absl::StrCat("/proc/self/fd/", directory.get(), "/", file.filename().string());
  }
  if (path.size() >= sizeof address.sun_path)
    return Error(Reason::kInvalidArgument, absl::StrCat("the path ", socket, " is too long for a socket"));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

absl::StatusOr<UniqueFd> Connect(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoError(errno, "make a socket");
  const timeval timeout{.tv_sec = kTimeoutSeconds, .tv_usec = 0};
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO})
    if (setsockopt(fd.get(), SOL_SOCKET, option, &timeout, sizeof timeout) != 0)
      return ErrnoError(errno, "set the time limit of a socket");
  UniqueFd directory;
  RISEML_ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path, directory));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return ErrnoError(errno, absl::StrCat("cannot connect to ", path));
  return fd;
}

absl::Status Send(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, "cannot send");
    bytes.remove_prefix(n);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadLine(int fd) {
  std::string line;
  while (line.empty() || line.back() != '\n') {
    char buffer[4096];
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN)
      return absl::DeadlineExceededError(absl::StrCat("no answer within ", kTimeoutSeconds, " s"));
    if (n < 0) return ErrnoError(errno, "cannot read the answer");
    if (n == 0) return absl::UnavailableError("the connection was closed before an answer came");
    line.append(buffer, n);
  }
  return line;
}

absl::StatusOr<std::string> Exchange(const std::string& socket, absl::string_view line) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, Connect(socket));
  RISEML_RETURN_IF_ERROR(Send(fd.get(), line));
  return ReadLine(fd.get());
}

}  // namespace

absl::StatusOr<std::string> ReportLine(const std::vector<std::string>& arguments, bool all_text) {
  if (arguments.empty())
    return Error(Reason::kInvalidArgument, "nothing is named; write NAME=VALUE, e.g. riseml-report accuracy=0.93");
  google::protobuf::Struct report;
  auto& results = *(*report.mutable_fields())["results"].mutable_struct_value()->mutable_fields();
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.find('=');
    if (equals == std::string::npos || equals == 0)
      return Error(Reason::kInvalidArgument,
                   absl::StrCat("'", argument, "' is not NAME=VALUE; write it without blanks, e.g. accuracy=0.93"));
    if (!IsValidUtf8(argument))  // the JSON printer would change it silently
      return Error(Reason::kInvalidArgument,
                   absl::StrCat("'", absl::CHexEscape(argument), "' is not UTF-8; write it as UTF-8"));
    const std::string name = argument.substr(0, equals);
    const std::string value = argument.substr(equals + 1);
    // An empty value usually comes from a $(command) that printed nothing, so it must not count as a result.
    if (value.empty() && !all_text)
      return Error(Reason::kInvalidArgument, absl::StrCat("'", name, "' has no value; write ", name,
                                                          "=VALUE, or use --text if it is to be an empty text"));
    results[name] = Typed(value, all_text);
  }
  std::string line;
  if (const auto printed = google::protobuf::util::MessageToJsonString(report, &line); !printed.ok())
    return Error(Reason::kInvalidArgument, std::string(printed.message()));
  line += '\n';
  if (line.size() > kMaxResultLine)
    return Error(Reason::kLimitExceeded,
                 absl::StrCat("the results have ", line.size(), " bytes as JSON, at most ", kMaxResultLine,
                              " are allowed; write large texts to a file in "
                              "$OUTPUT_DIR"));
  return line;
}

absl::Status SendReport(const std::string& socket, absl::string_view line) {
  if (socket.empty())
    return absl::FailedPreconditionError(
        "this is not a job of RiseML, as RISEML_SOCKET is not set; use riseml-report in the commands under 'run:' of "
        "riseml.yml");
  const absl::StatusOr<std::string> answer = Exchange(socket, line);
  if (!answer.ok())
    return absl::UnavailableError(
        absl::StrCat("the socket of the job is lost: ", answer.status().message(),
                     "; try again while the commands of the job run, and leave RISEML_SOCKET as it is"));
  google::protobuf::Struct result;
  if (!google::protobuf::util::JsonStringToMessage(*answer, &result).ok())
    return absl::InternalError(absl::StrCat("the answer is not JSON: ", *answer));
  const auto& fields = result.fields();
  if (const auto ok = fields.find("ok"); ok != fields.end() && ok->second.bool_value()) return absl::OkStatus();
  const auto error = fields.find("error");
  return Error(Reason::kInvalidArgument, error == fields.end() ? "refused" : error->second.string_value());
}

}  // namespace riseml::agent
