#include "cli/client/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/render/terminal.h"
#include "services/common/base/status.h"

namespace riseml::cli {
namespace {

constexpr char kServer[] = "riseml/server";
constexpr char kAddress[] = "riseml/address";
constexpr char kRequest[] = "riseml/request";
constexpr char kHint[] = "riseml/hint";
constexpr absl::string_view kUnknownHost = "DNS resolution failed";  // as gRPC says it
constexpr absl::string_view kUnreadableCa = "empty address list";    // likewise

std::string Payload(const absl::Status& status, absl::string_view key) {
  const auto payload = status.GetPayload(key);
  return payload ? std::string(*payload) : std::string();
}

// True for a server that accepts connections but does not answer: it hangs, is halted or overloaded.
bool IsSilent(const absl::Status& status) {
  return absl::IsDeadlineExceeded(status) || absl::StrContains(status.message(), "Handshake read failed") ||
         absl::StrContains(status.message(), "Handshake timed out");
}

// Returns the advice for a server that cannot be reached.
absl::string_view AdviceFor(const absl::Status& status) {
  if (IsSilent(status))
    return "Try again in a minute. A local installation can be restarted, and its jobs go on, with: riseml down && "
           "riseml up";
  if (absl::StrContains(status.message(), kUnknownHost))
    return "Correct the address: riseml user login --api-host HOST:PORT";
  if (absl::StrContains(status.message(), kUnreadableCa))
    return "Get the CA file from your administrator and log in with it: riseml user login --ca-file FILE";
  return "It may still be starting: try again in a few seconds. Start a local installation with: riseml up";
}

// gRPC's words for a failed connection, without the list of every address it tried.
std::string Why(const absl::Status& status) {
  const absl::string_view message = status.message();
  if (IsSilent(status)) return "something listens there, but it does not answer";
  if (absl::StrContains(message, "Connection refused")) return "connection refused";
  if (absl::StrContains(message, "Ssl handshake failed") || absl::StrContains(message, "CERTIFICATE_VERIFY_FAILED")) {
    return "its certificate is not signed by the certificate authority in the configuration, or it does not speak TLS";
  }
  if (absl::StrContains(message, kUnknownHost)) return "unknown host name";
  if (absl::StrContains(message, kUnreadableCa)) return "the certificate authority in the configuration cannot be read";
  return OneLine(message);
}

}  // namespace

absl::Status WithCall(const absl::Status& status, absl::string_view server, absl::string_view address,
                      absl::string_view request_id) {
  if (status.ok()) return status;
  absl::Status out = status;
  out.SetPayload(kServer, absl::Cord(server));
  out.SetPayload(kAddress, absl::Cord(address));
  out.SetPayload(kRequest, absl::Cord(request_id));
  return out;
}

absl::Status WithHint(const absl::Status& status, absl::string_view hint) {
  if (status.ok()) return status;
  absl::Status out = status;
  out.SetPayload(kHint, absl::Cord(hint));
  return out;
}

bool IsUnreachable(const absl::Status& status) {
  const bool from_call = status.GetPayload(kAddress).has_value();
  return from_call && ReasonName(status).empty() && (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status));
}

std::string ErrorText(const absl::Status& status) {
  // A user's answer to a question is not an error.
  if (absl::IsCancelled(status) && !status.GetPayload(kAddress)) return absl::StrCat(OneLine(status.message()), "\n");
  const std::string request = Payload(status, kRequest);
  std::string hint = Payload(status, kHint);
  std::string message;
  if (absl::IsUnauthenticated(status)) {
    message = "You are not authorized!";
    if (!status.message().empty()) absl::StrAppend(&message, " ", OneLine(status.message()));
    hint = "Log in with a valid API key: riseml user login";
  } else if (IsUnreachable(status)) {
    const std::string server = Payload(status, kServer);
    message = absl::StrCat("Could not connect to ", server, " (", Payload(status, kAddress), ") — ", Why(status));
    if (hint.empty()) hint = std::string(AdviceFor(status));
  } else {
    // Messages of the parser have several lines. OneLine makes each line harmless, since text may come from elsewhere.
    absl::string_view rest = status.message();
    while (true) {
      const std::size_t end = rest.find('\n');
      absl::StrAppend(&message, OneLine(rest.substr(0, end)));
      if (end == absl::string_view::npos) break;
      absl::StrAppend(&message, "\n       ");
      rest.remove_prefix(end + 1);
    }
    const bool unexpected = absl::IsInternal(status) || absl::IsUnknown(status) || absl::IsDataLoss(status) ||
                            absl::IsUnimplemented(status);
    if (unexpected && !request.empty()) {
      message = absl::StrCat("An unexpected error occured: ", message, " (request ", request, ")");
    }
  }
  std::string out = absl::StrCat("ERROR: ", message, "\n");
  for (const FieldViolation& violation : ViolationsOf(status)) {
    // The message describes this violation already.
    if (absl::StrContains(status.message(), violation.description)) continue;
    absl::StrAppend(&out, "       ", OneLine(violation.field), ": ", OneLine(violation.description), "\n");
  }
  if (!hint.empty()) absl::StrAppend(&out, "       ", hint, "\n");
  return out;
}

}  // namespace riseml::cli
