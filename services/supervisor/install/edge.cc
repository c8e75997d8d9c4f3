#include "services/supervisor/install/edge.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/common/rpc/call.h"
#include "services/supervisor/install/services.h"

namespace riseml::supervisor {
namespace {

constexpr absl::string_view kHaproxyPaths[] = {"/usr/sbin/haproxy", "/usr/local/sbin/haproxy"};
constexpr std::int64_t kMostFiles = 20'000;  // more would only cost memory
constexpr int kStrangersCalls = 50;          // per second, of all callers without a known credential together
constexpr int kCallersCalls = 5000;          // per second, of one credential
constexpr int kUnansweredCalls = 150;        // per connection; a hundred may be open
constexpr int kOpenCalls = 240;              // per credential; a service may hold 384 KiB of each (server.cc)
constexpr int kStrangersBytes = 8 << 10;     // per call without a known credential
constexpr int kGivenUpCalls = 300;           // per credential in ten seconds: ended without an answer, or still open

// Three stages; each limits what reaches the next one. A connection that sends nothing costs a few kilobytes in the
// first stage. One that leaves its TLS handshake unfinished costs 40 KB in the second. Only HTTP/2 after a complete TLS
// handshake reaches the third.
constexpr absl::string_view kTemplate =
    R"(# Written by `riseml up` at each start; changes made here are lost. Why it is so: docs/adr/0014.
global
  nbthread 1
  maxconn @ALL@
  no strict-limits
  ssl-default-bind-options ssl-min-ver TLSv1.2
  ssl-load-extra-del-ext
  tune.bufsize 16384
  tune.h2.max-concurrent-streams 100
  tune.ssl.cachesize 0

defaults
  log stdout format raw daemon notice
  retries 0
  timeout connect 5s
  timeout client 2s
  timeout server 5s
  timeout client-fin 5s
  timeout server-fin 5s

frontend ports
  mode tcp
  maxconn @OPEN@
@PORTS@
  tcp-request inspect-delay 1s
  tcp-request content accept if { req.ssl_hello_type 1 }
  tcp-request content reject
  default_backend tls

backend tls
  mode tcp
  timeout tunnel 7d
  server edge unix@@DIR@/edge.tls send-proxy-v2

frontend tls
  mode tcp
  maxconn @CALLERS@
  backlog 128
  bind unix@@DIR@/edge.tls accept-proxy ssl crt @CERTS@/edge.crt alpn h2 mode 600
  default_backend calls

backend calls
  mode tcp
  timeout tunnel 7d
  server edge unix@@DIR@/edge.calls send-proxy-v2

frontend calls
  mode http
  maxconn @CALLERS@
  backlog 128
  bind unix@@DIR@/edge.calls accept-proxy proto h2 mode 600
  timeout client 7d
  timeout http-request 2s
  timeout http-keep-alive 5s
  # A connection whose calls end without an answer again and again is closed.
  http-request set-var(sess.unanswered) var(sess.unanswered,0),add(1)
  http-request reject if { var(sess.unanswered) -m int gt @UNANSWERED@ }
  http-response set-var(sess.unanswered) var(sess.unanswered),sub(1)
  http-request return status 200 hdr grpc-status 0 if { path @CHECK@ }
  http-request return status 200 hdr grpc-status 12 if { path /grpc.health.v1.Health/Watch }
  http-after-response set-header content-type application/grpc unless { res.hdr(content-type) -m found }
  http-request set-header @PEER@ ipv4:%[src]:%[src_port]
  # A caller is a credential that a service has taken within a week; all others together are strangers.
  http-request set-var(txn.caller) req.hdr(authorization),sha1 if { req.hdr(authorization) -m len le 263 }
  acl known var(txn.caller),in_table(callers)
  http-request track-sc1 int(1) table strangers unless known
  http-request return status 200 hdr grpc-status 8 hdr grpc-message "too many calls of clients that nobody knows yet; call again" if !known { sc1_http_req_rate gt @STRANGERS@ }
  # A service gets only whole, small messages from a stranger: it would hold a half-sent one for ever.
  http-request wait-for-body time 2s if !known
  http-request return status 200 hdr grpc-status 8 hdr grpc-message "too large for the first call of a client: call GetClusterInfo before, with the same key" if !known { req.body_size gt @STRANGERS_BYTES@ }
  http-request track-sc0 var(txn.caller) table callers if known
  http-request sc-inc-gpc0(0) if known
  http-request set-var(txn.answered) sc0_gpc1_rate if known
  http-request return status 200 hdr grpc-status 8 hdr grpc-message "too many calls that were given up before their answer; call again in 10 seconds" if known { sc0_gpc0_rate,sub(txn.answered) gt @GIVEN_UP@ }
  http-request return status 200 hdr grpc-status 8 hdr grpc-message "too many open calls; end some, and call again" if known { sc0_conn_cur gt @OPEN_CALLS@ }
  http-request return status 200 hdr grpc-status 8 hdr grpc-message "too many calls in one second; call again" if known { sc0_http_req_rate gt @CALLS@ }
  http-request set-var(txn.health) bool(true) if { path_beg /grpc.health.v1.Health/ }
  http-response sc-inc-gpc1(0) if { var(txn.caller),in_table(callers) }
  http-response track-sc0 var(txn.caller) table callers if { var(txn.caller) -m found } !{ var(txn.health) -m bool } !{ res.hdr(grpc-status) -m found } { status 200 }
@ROUTES@
@BACKENDS@
backend callers
  stick-table type binary len 20 size 100k expire 7d store conn_cur,http_req_rate(1s),gpc0_rate(10s),gpc1_rate(10s)

backend strangers
  stick-table type integer size 1k expire 10s store http_req_rate(1s)

frontend metrics
  mode http
  maxconn 32
  bind "fd@${@METRICS@}"
  timeout http-request 1s
  timeout http-keep-alive 1s
  http-request use-service prometheus-exporter if { path /metrics }
  http-request deny deny_status 404
)";

constexpr absl::string_view kBackend = R"(
backend @NAME@
  mode http
  http-reuse safe
  option abortonclose
  timeout server 7d
  http-error status 502 hdr grpc-status 14 hdr grpc-message "the connection to @SERVICE@ broke; call again"
  http-error status 503 hdr grpc-status 14 hdr grpc-message "@SERVICE@ is being started; call again"
  server @SERVICE@ unix@@DIR@/@NAME@ proto h2
)";

template <class Function>
void ForEachUserPort(const config::v1::SupervisorState& state, Function&& function) {
  for (const ServiceInfo& service : kServices) {
    for (const ListenerInfo& listener : service.listeners) {
      if (listener.role != ListenerRole::kUser || listener.name.empty()) continue;
      function(service.name, listener.name, state.ports().at(std::string(listener.name)));
    }
  }
}

}  // namespace

std::string FindHaproxy() {
  for (const absl::string_view path : kHaproxyPaths)
    if (access(std::string(path).c_str(), X_OK) == 0) return std::string(path);
  return "";
}

std::vector<std::string> EdgeCommand(const Layout& layout, const std::string& haproxy) {
  return {haproxy, "-db", "-f", layout.EdgeConfig()};
}

std::string SocketVariable(absl::string_view listener) {
  return absl::StrCat("RISEML_SOCKET_", absl::StrReplaceAll(absl::AsciiStrToUpper(listener), {{".", "_"}}));
}

std::string MakeEdgeConfig(const Layout& layout, const config::v1::SupervisorState& state, std::int64_t max_files) {
  const std::int64_t files = std::min(max_files, kMostFiles);
  // A connection takes one descriptor until it sends data, and six once its calls reach a service.
  const std::int64_t open = files / 2, callers = files / 20;
  std::string ports, routes, backends;
  ForEachUserPort(state, [&](absl::string_view service, absl::string_view name, int port) {
    absl::StrAppend(&ports, "  bind \"fd@${", SocketVariable(name), "}\"\n");
    absl::StrAppend(&routes, "  use_backend ", name, " if { dst_port ", port, " }\n");
    absl::StrAppend(&backends, absl::StrReplaceAll(kBackend, {{"@NAME@", name}, {"@SERVICE@", service}}));
  });
  const std::string text = absl::StrReplaceAll(kTemplate, {{"@PORTS@\n", ports},
                                                           {"@ROUTES@\n", routes},
                                                           {"@BACKENDS@", backends},
                                                           {"@METRICS@", SocketVariable(kEdgeMetrics)},
                                                           {"@STRANGERS@", absl::StrCat(kStrangersCalls)},
                                                           {"@STRANGERS_BYTES@", absl::StrCat(kStrangersBytes)},
                                                           {"@CALLS@", absl::StrCat(kCallersCalls)},
                                                           {"@OPEN_CALLS@", absl::StrCat(kOpenCalls)},
                                                           {"@UNANSWERED@", absl::StrCat(kUnansweredCalls)},
                                                           {"@GIVEN_UP@", absl::StrCat(kGivenUpCalls)},
                                                           {"@CHECK@", kEdgeCheckMethod},
                                                           {"@PEER@", rpc::kEdgePeerKey},
                                                           {"@ALL@", absl::StrCat(open + 2 * callers + 32)},
                                                           {"@OPEN@", absl::StrCat(open)},
                                                           {"@CALLERS@", absl::StrCat(callers)}});
  return absl::StrReplaceAll(text, {{"@DIR@", state.postgres_socket_dir()}, {"@CERTS@", layout.Certs()}});
}

}  // namespace riseml::supervisor
