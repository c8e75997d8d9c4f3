#include "services/common/rpc/status.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "services/common/base/status.h"

namespace riseml::rpc {
namespace {

constexpr char kErrorDomain[] = "riseml";
constexpr int kMaxViolations = 64;
// A client refuses trailers of more than 8 KiB. The message is sent twice: by itself, escaped, and in the details.
constexpr std::size_t kMaxMessageBytes = 3'000;
constexpr std::size_t kMaxTrailerBytes = 7'000;

// Bytes of a message as gRPC escapes it.
std::size_t EscapedBytes(absl::string_view message) {
  std::size_t bytes = 0;
  for (const char c : message) bytes += c >= ' ' && c <= '~' && c != '%' ? 1 : 3;
  return bytes;
}

// The text, or as much of it as takes `bytes` once escaped; never half a character.
std::string Cut(absl::string_view text, std::size_t bytes) {
  if (EscapedBytes(text) <= bytes) return std::string(text);
  std::size_t end = 0, taken = 0;
  while (end < text.size() && (taken += EscapedBytes(text.substr(end, 1))) <= bytes) ++end;
  const auto continues = [&](std::size_t at) { return (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; };
  while (end > 0 && continues(end)) --end;
  return absl::StrCat(text.substr(0, end), "…");
}

// Adds details as long as there is room.
class Details {
 public:
  explicit Details(const absl::Status& status) : message_(Cut(status.message(), kMaxMessageBytes)) {
    rich_.set_code(static_cast<int>(status.code()));
    rich_.set_message(message_);
    used_ = EscapedBytes(message_);
  }

  void Add(const google::protobuf::Message& detail) { rich_.add_details()->PackFrom(detail); }
  bool HasRoomFor(const google::protobuf::Message& detail) const {
    constexpr std::size_t kWrapping = 64;  // type URL and lengths
    return used_ + rich_.ByteSizeLong() + detail.ByteSizeLong() + kWrapping <= kMaxTrailerBytes;
  }

  grpc::Status Finish() const {
    return grpc::Status(static_cast<grpc::StatusCode>(rich_.code()), message_, rich_.SerializeAsString());
  }

 private:
  const std::string message_;
  google::rpc::Status rich_;
  std::size_t used_ = 0;
};

void AddReason(const absl::Status& status, Details& details) {
  google::rpc::ErrorInfo info;
  info.set_domain(kErrorDomain);
  info.set_reason(ReasonName(status));
  for (const auto& [key, value] : MetadataOf(status)) {
    (*info.mutable_metadata())[key] = value;
    if (!details.HasRoomFor(info)) info.mutable_metadata()->erase(key);
  }
  if (!info.reason().empty() || info.metadata_size() > 0) details.Add(info);
}

void AddRetryDelay(const absl::Status& status, Details& details) {
  const std::optional<absl::Duration> delay = RetryDelayOf(status);
  if (!delay) return;
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(*delay));
  info.mutable_retry_delay()->set_nanos(
      static_cast<std::int32_t>(absl::ToInt64Nanoseconds(*delay - absl::Seconds(absl::ToInt64Seconds(*delay)))));
  details.Add(info);
}

void AddViolations(const absl::Status& status, Details& details) {
  google::rpc::BadRequest bad;
  for (const FieldViolation& violation : ViolationsOf(status)) {
    if (bad.field_violations_size() == kMaxViolations) break;
    google::rpc::BadRequest::FieldViolation* const added = bad.add_field_violations();
    added->set_field(violation.field);
    added->set_description(violation.description);
    if (details.HasRoomFor(bad)) continue;
    bad.mutable_field_violations()->RemoveLast();
    break;
  }
  if (bad.field_violations_size() > 0) details.Add(bad);
}

void TakeDetail(const google::protobuf::Any& detail, absl::Status& status) {
  google::rpc::ErrorInfo info;
  google::rpc::RetryInfo retry;
  google::rpc::BadRequest bad;
  if (detail.UnpackTo(&info) && info.domain() == kErrorDomain) {
    if (!info.reason().empty()) SetReasonName(status, info.reason());
    for (const auto& [key, value] : info.metadata()) status = WithMetadata(std::move(status), key, value);
  } else if (detail.UnpackTo(&retry)) {
    status = WithRetryDelay(std::move(status), absl::Seconds(retry.retry_delay().seconds()) +
                                                   absl::Nanoseconds(retry.retry_delay().nanos()));
  } else if (detail.UnpackTo(&bad)) {
    for (const auto& violation : bad.field_violations())
      status = WithViolation(std::move(status), violation.field(), violation.description());
  }
}

// A proxy whose server dies in the middle of a stream ends the stream without a status. gRPC says so in these words.
bool EndedWithoutStatus(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNKNOWN && status.error_message() == "Stream removed";
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  Details details(status);
  AddReason(status, details);
  AddRetryDelay(status, details);
  AddViolations(status, details);
  return details.Finish();
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  if (EndedWithoutStatus(status))
    return absl::UnavailableError("the server ended before it had answered completely; call again");
  absl::Status out(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status rich;
  if (!status.error_details().empty() && rich.ParseFromString(status.error_details()))
    for (const google::protobuf::Any& detail : rich.details()) TakeDetail(detail, out);
  return out;
}

bool IsTransient(const absl::Status& status) {
  return absl::IsUnavailable(status) || RetryDelayOf(status).has_value() ||
         (absl::IsResourceExhausted(status) && ReasonName(status).empty());
}

}  // namespace riseml::rpc
