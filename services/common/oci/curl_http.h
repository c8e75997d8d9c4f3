// HTTP over libcurl: connections are kept, TLS is verified, private addresses are called only if that is allowed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/common/base/mutex.h"
#include "services/common/oci/http.h"

using CURL = void;

namespace riseml::oci {

struct CurlOptions {
  std::string ca_pem;  // certificates to trust instead of the machine's; empty: the machine's
  // Hosts, as in URLs ("host" or "host:port"), that may have a private, loopback or link-local address. The address is
  // checked when it is connected to, so that a name that resolves to another address later cannot get past the check.
  std::vector<std::string> private_hosts;
  absl::Duration connect_timeout = absl::Seconds(10);
  absl::Duration silence_timeout = absl::Seconds(60);     // without a byte in either direction
  absl::Duration small_call_timeout = absl::Seconds(60);  // in all, for a call that moves no blob
};

class CurlHttp final : public HttpTransport {
 public:
  explicit CurlHttp(CurlOptions options);
  ~CurlHttp() override;
  absl::StatusOr<HttpAnswer> Perform(const HttpRequest& request) override;

 private:
  class Transfer;
  CURL* Take();
  void Return(CURL* handle);

  const CurlOptions options_;
  Mutex mu_;
  std::vector<CURL*> idle_ ABSL_GUARDED_BY(mu_);  // each with its open connections
};

// True for addresses that are not of the public internet: loopback, private, link-local, shared, multicast, and IPv6
// forms that contain such an address. `address` is a sockaddr of family AF_INET or AF_INET6; others are private.
struct AddressView {
  int family = 0;
  const unsigned char* bytes = nullptr;  // 4 or 16, in network order
};
bool IsPrivateAddress(const AddressView& address);

}  // namespace riseml::oci
