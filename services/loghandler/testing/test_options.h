// Options of a whole log handler with the certificates of a test.
#pragma once

#include <string>

#include "riseml/config/v1/common.pb.h"
#include "services/common/rpc/channel.h"
#include "services/loghandler/loghandler.h"

namespace riseml::loghandler {

// Listens on a port that the system chooses, and calls the api at `api_address`. `dir` holds loghandler.crt,
// loghandler.key and ca.crt.
inline void SetConnections(LogHandlerOptions& options, const std::string& dir, const std::string& api_address) {
  const std::string certificate = dir + "/loghandler.crt", key = dir + "/loghandler.key";
  options.user_listener.set_address("127.0.0.1:0");
  options.user_listener.set_certificate_file(certificate);
  options.user_listener.set_key_file(key);
  config::v1::ClientTls tls;
  tls.set_ca_file(dir + "/ca.crt");
  tls.set_certificate_file(certificate);
  tls.set_key_file(key);
  options.api = *rpc::ServiceChannel(api_address, tls);
}

}  // namespace riseml::loghandler
