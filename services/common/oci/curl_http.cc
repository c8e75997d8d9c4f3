#include "services/common/oci/curl_http.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::oci {
namespace {

constexpr std::size_t kMaxHeaderBytes = 64 << 10;
constexpr std::size_t kMaxIdle = 16;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

absl::Status CurlError(CURLcode code, const char* text, const std::string& host) {
  const std::string why = text[0] != '\0' ? text : curl_easy_strerror(code);
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return Error(Reason::kPermissionDenied,
                   absl::StrCat("the certificate of ", host, " cannot be trusted: ", why,
                                "; give the installation the certificate of the authority that signed it"));
    case CURLE_OPERATION_TIMEDOUT:
      return Error(Reason::kUnavailable, absl::StrCat(host, " does not answer: ", why));
    default:
      return Error(Reason::kUnavailable, absl::StrCat("cannot reach ", host, ": ", why));
  }
}

AddressView ViewOf(const sockaddr& address) {
  if (address.sa_family == AF_INET)
    return {AF_INET, reinterpret_cast<const unsigned char*>(&reinterpret_cast<const sockaddr_in&>(address).sin_addr)};
  if (address.sa_family == AF_INET6)
    return {AF_INET6,
            reinterpret_cast<const unsigned char*>(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr)};
  return {address.sa_family, nullptr};
}

}  // namespace

// One request on its way. Its functions are called back by libcurl on the thread of Perform.
class CurlHttp::Transfer {
 public:
  Transfer(const HttpRequest& request, std::string host, bool may_be_private)
      : request_(request), host_(std::move(host)), may_be_private_(may_be_private) {}

  absl::StatusOr<HttpAnswer> Run(CURL* curl, const CurlOptions& options) {
    const std::unique_ptr<curl_slist, FreeList> headers(Headers());
    SetCommon(curl, options);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    SetBody(curl);
    const CURLcode code = curl_easy_perform(curl);
    if (failure_) return *failure_;
    if (request_.stop.stop_requested()) return absl::CancelledError("stopped");
    if (code != CURLE_OK) return CurlError(code, error_, host_);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    answer_.status = static_cast<int>(status);
    return std::move(answer_);
  }

 private:
  curl_slist* Headers() const {
    curl_slist* list = curl_slist_append(nullptr, "Expect:");  // else libcurl waits a second for servers that ignore it
    for (const HttpHeader& header : request_.headers)
      list = curl_slist_append(list, absl::StrCat(header.name, ": ", header.value).c_str());
    return list;
  }

  void SetCommon(CURL* curl, const CurlOptions& options) {
    curl_easy_setopt(curl, CURLOPT_URL, request_.url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");  // a proxy would hide the addresses that are checked
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    if (!options.ca_pem.empty()) {
      curl_blob pem{const_cast<char*>(options.ca_pem.data()), options.ca_pem.size(), CURL_BLOB_NOCOPY};
      curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &pem);
    }
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, absl::ToInt64Milliseconds(options.connect_timeout));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, absl::ToInt64Seconds(options.silence_timeout));
    if (request_.body == nullptr && !request_.sink)
      curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, absl::ToInt64Milliseconds(options.small_call_timeout));
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, this);
    curl_easy_setopt(
        curl, CURLOPT_XFERINFOFUNCTION, +[](void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
          return static_cast<Transfer*>(self)->request_.stop.stop_requested() ? 1 : 0;
        });
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, this);
    curl_easy_setopt(
        curl, CURLOPT_OPENSOCKETFUNCTION, +[](void* self, curlsocktype, curl_sockaddr* address) {
          return static_cast<Transfer*>(self)->OpenSocket(*address);
        });
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(
        curl, CURLOPT_HEADERFUNCTION, +[](char* data, std::size_t one, std::size_t count, void* self) {
          return static_cast<Transfer*>(self)->TakeHeader({data, one * count});
        });
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(
        curl, CURLOPT_WRITEFUNCTION, +[](char* data, std::size_t one, std::size_t count, void* self) {
          return static_cast<Transfer*>(self)->TakeBody({data, one * count});
        });
  }

  void SetBody(CURL* curl) {
    if (request_.method == "HEAD") curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    if (request_.body != nullptr) {
      curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
      curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 1L << 20);
      curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request_.body->size));
      curl_easy_setopt(curl, CURLOPT_READDATA, this);
      curl_easy_setopt(
          curl, CURLOPT_READFUNCTION, +[](char* out, std::size_t one, std::size_t count, void* self) {
            return static_cast<Transfer*>(self)->GiveBody(out, one * count);
          });
      curl_easy_setopt(curl, CURLOPT_SEEKDATA, this);
      curl_easy_setopt(
          curl, CURLOPT_SEEKFUNCTION, +[](void* self, curl_off_t offset, int origin) {
            if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
            static_cast<Transfer*>(self)->sent_ = offset;
            return CURL_SEEKFUNC_OK;
          });
    } else if (request_.method == "POST" || request_.method == "PATCH" || request_.method == "PUT") {
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }

  curl_socket_t OpenSocket(const curl_sockaddr& address) {
    if (!may_be_private_ && IsPrivateAddress(ViewOf(address.addr))) {
      failure_ = Error(Reason::kPermissionDenied,
                       absl::StrCat(host_,
                                    " has a private address; an administrator can allow it by adding the host to "
                                    "the registries with private addresses (RISEML_PRIVATE_REGISTRIES)"));
      return CURL_SOCKET_BAD;
    }
    return socket(address.family, address.socktype | SOCK_CLOEXEC, address.protocol);
  }

  std::size_t TakeHeader(absl::string_view line) {
    header_bytes_ += line.size();
    if (header_bytes_ > kMaxHeaderBytes)
      return Fail(Error(Reason::kLimitExceeded, absl::StrCat(host_, " sends too many headers")));
    if (absl::StartsWith(line, "HTTP/")) answer_ = {};  // headers of an interim answer, e.g. 100, are over
    const std::size_t colon = line.find(':');
    if (colon != absl::string_view::npos)
      answer_.headers.push_back({absl::AsciiStrToLower(line.substr(0, colon)),
                                 std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)))});
    else if (const std::size_t space = line.find(' '); space != absl::string_view::npos)
      success_ = absl::StartsWith(line.substr(space + 1), "200");
    return line.size();
  }

  std::size_t TakeBody(absl::string_view bytes) {
    if (request_.sink && success_) {
      const absl::Status taken = request_.sink(bytes);
      return taken.ok() ? bytes.size() : Fail(taken);
    }
    if (answer_.body.size() + bytes.size() > static_cast<std::size_t>(request_.max_bytes))
      return Fail(Error(Reason::kLimitExceeded,
                        absl::StrCat("the answer of ", host_, " is larger than ", request_.max_bytes, " bytes")));
    answer_.body.append(bytes.data(), bytes.size());
    return bytes.size();
  }

  std::size_t GiveBody(char* out, std::size_t room) {
    const std::int64_t length = std::min(request_.body->size - sent_, static_cast<std::int64_t>(room));
    if (length <= 0) return 0;
    const absl::StatusOr<std::string> bytes = request_.body->read(sent_, length);
    if (!bytes.ok()) {
      failure_ = bytes.status();
      return CURL_READFUNC_ABORT;
    }
    std::copy(bytes->begin(), bytes->end(), out);
    sent_ += static_cast<std::int64_t>(bytes->size());
    return bytes->size();
  }

  std::size_t Fail(absl::Status why) {
    failure_ = std::move(why);
    return 0;
  }

  const HttpRequest& request_;
  const std::string host_;
  const bool may_be_private_;
  HttpAnswer answer_;
  std::optional<absl::Status> failure_;
  std::size_t header_bytes_ = 0;
  std::int64_t sent_ = 0;
  bool success_ = false;  // the status is 200
  char error_[CURL_ERROR_SIZE] = "";
};

CurlHttp::CurlHttp(CurlOptions options) : options_(std::move(options)) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

CurlHttp::~CurlHttp() {
  for (CURL* handle : idle_) curl_easy_cleanup(handle);
}

CURL* CurlHttp::Take() {
  MutexLock lock(mu_);
  if (idle_.empty()) return curl_easy_init();
  CURL* handle = idle_.back();
  idle_.pop_back();
  return handle;
}

void CurlHttp::Return(CURL* handle) {
  curl_easy_reset(handle);  // connections stay open
  {
    MutexLock lock(mu_);
    if (idle_.size() < kMaxIdle) {
      idle_.push_back(handle);
      return;
    }
  }
  curl_easy_cleanup(handle);
}

absl::StatusOr<HttpAnswer> CurlHttp::Perform(const HttpRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const Url url, ParseUrl(request.url));
  const std::vector<std::string>& hosts = options_.private_hosts;
  const bool may_be_private = std::find(hosts.begin(), hosts.end(), url.host) != hosts.end();
  CURL* handle = Take();
  absl::StatusOr<HttpAnswer> answer = Transfer(request, url.host, may_be_private).Run(handle, options_);
  Return(handle);
  return answer;
}

}  // namespace riseml::oci
