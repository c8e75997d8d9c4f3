// HTTP whose answers a test writes down.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "services/common/oci/http.h"

namespace riseml::oci::testing {

// Lives on one thread. Answers in the order in which they were added; a call without an answer is UNAVAILABLE.
class ScriptedHttp final : public HttpTransport {
 public:
  struct Call {
    std::string method, url, authorization, body;
    std::vector<HttpHeader> headers;
  };

  void Answer(HttpAnswer answer) { answers_.push_back(std::move(answer)); }
  void Answer(int status, std::vector<HttpHeader> headers = {}, std::string body = "") {
    answers_.push_back(HttpAnswer{status, std::move(headers), std::move(body)});
  }
  void Fail(absl::Status status) { answers_.push_back(std::move(status)); }

  const std::vector<Call>& calls() const { return calls_; }

  absl::StatusOr<HttpAnswer> Perform(const HttpRequest& request) override {
    Call call{.method = request.method, .url = request.url, .headers = request.headers};
    for (const HttpHeader& header : request.headers)
      if (header.name == "Authorization") call.authorization = header.value;
    while (request.body != nullptr && static_cast<std::int64_t>(call.body.size()) < request.body->size) {
      const auto offset = static_cast<std::int64_t>(call.body.size());
      absl::StatusOr<std::string> bytes = request.body->read(offset, request.body->size - offset);
      if (!bytes.ok()) return bytes.status();
      call.body += *bytes;
    }
    calls_.push_back(std::move(call));
    if (answers_.empty()) return absl::UnavailableError("the script has no further answer");
    absl::StatusOr<HttpAnswer> answer = std::move(answers_.front());
    answers_.pop_front();
    if (answer.ok() && answer->status == 200 && request.sink) {
      if (absl::Status taken = request.sink(answer->body); !taken.ok()) return taken;
      answer->body.clear();
    }
    return answer;
  }

 private:
  std::deque<absl::StatusOr<HttpAnswer>> answers_;
  std::vector<Call> calls_;
};

}  // namespace riseml::oci::testing
