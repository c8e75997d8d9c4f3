// Makes images of revisions as riseml-builder does. Used by bench/images.
//
//   image_append BUILDER-CONFIG REGISTRY BASE-REPOSITORY BASE-DIGEST REPOSITORY
//
// Reads lines "PROJECT-UID COMMIT" and prints for each: seconds, bytes sent, digest.
#include <atomic>
#include <cstdio>
#include <iostream>
#include <string>

#include "riseml/config/v1/builder.pb.h"
#include "services/builder/image/code_layers.h"
#include "services/builder/image/image_maker.h"
#include "services/common/base/clock.h"
#include "services/common/config/config.h"
#include "services/common/oci/curl_http.h"
#include "services/common/rpc/channel.h"

namespace riseml {
namespace {

class CountingHttp final : public oci::HttpTransport {
 public:
  explicit CountingHttp(const std::string& host) : http_({.private_hosts = {host}}) {}
  std::atomic<std::int64_t> sent = 0;
  absl::StatusOr<oci::HttpAnswer> Perform(const oci::HttpRequest& request) override {
    if (request.body != nullptr) sent += request.body->size;
    return http_.Perform(request);
  }

 private:
  oci::CurlHttp http_;
};

int Run(const std::vector<std::string>& words) {
  config::v1::BuilderConfig config;
  const absl::Status loaded = config::LoadConfig(words[1], &config);
  const auto channel = rpc::ServiceChannel(config.gitsync_address(), config.client_tls());
  if (!loaded.ok() || !channel.ok()) {
    std::fprintf(stderr, "%s\n%s\n", loaded.ToString().c_str(), channel.status().ToString().c_str());
    return 1;
  }
  const SystemClock clock;
  CountingHttp http(words[2]);
  oci::Registry registry(http, clock, {.host = words[2], .plain_http = true});
  builder::GitsyncCodeLayers code(*channel);
  builder::ImageMaker maker(registry, code, "/tmp");
  std::string project, commit;
  while (std::cin >> project >> commit) {
    http.sent = 0;
    const absl::Time begin = clock.Now();
    const absl::StatusOr<oci::Descriptor> made = maker.Make({words[3], words[4], words[5], {project, commit}});
    if (!made.ok()) {
      std::fprintf(stderr, "%s\n", made.status().ToString().c_str());
      return 1;
    }
    std::printf("%f %lld %s\n", absl::ToDoubleSeconds(clock.Now() - begin), static_cast<long long>(http.sent),
                made->digest.c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace riseml

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fputs("usage: image_append BUILDER-CONFIG REGISTRY BASE-REPOSITORY BASE-DIGEST REPOSITORY\n", stderr);
    return 2;
  }
  return riseml::Run({argv, argv + argc});
}
