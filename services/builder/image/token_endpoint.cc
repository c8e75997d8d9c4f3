#include "services/builder/image/token_endpoint.h"

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::builder {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;

constexpr int kThreads = 4;
constexpr std::uint32_t kMaxHeaderBytes = 16 << 10;

http::status HttpStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return http::status::ok;
    case absl::StatusCode::kUnauthenticated:
      return http::status::unauthorized;
    case absl::StatusCode::kPermissionDenied:
      return http::status::forbidden;
    case absl::StatusCode::kNotFound:
      return http::status::not_found;
    case absl::StatusCode::kInvalidArgument:
      return http::status::bad_request;
    default:
      return http::status::service_unavailable;
  }
}

struct Service {
  TokenEndpointOptions options;
  const RegistryTokens& tokens;
  Granter granter;
  std::atomic<int> connections = 0;

  absl::StatusOr<std::string> Answer(absl::string_view target, absl::string_view authorization) const {
    RISEML_ASSIGN_OR_RETURN(const TokenRequest request, ParseTokenRequest(target, authorization));
    RISEML_ASSIGN_OR_RETURN(const Grant grant, granter(request));
    RISEML_ASSIGN_OR_RETURN(const std::string token, tokens.Make(grant.subject, grant.access, options.token_lifetime));
    return nlohmann::json{{"token", token}, {"expires_in", absl::ToInt64Seconds(options.token_lifetime)}}.dump();
  }
};

// One connection, which serves one request. Its functions run one after the other.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Service& service) : stream_(std::move(socket)), service_(service) {
    ++service_.connections;
    parser_.header_limit(kMaxHeaderBytes);
    parser_.body_limit(0);
  }
  ~Connection() { --service_.connections; }

  void Read() {
    stream_.expires_after(absl::ToChronoSeconds(service_.options.time_limit));
    http::async_read(stream_, buffer_, parser_, [self = shared_from_this()](beast::error_code error, std::size_t) {
      if (!error) self->Answer();
    });
  }

 private:
  void Answer() {
    const auto& request = parser_.get();
    const auto view = [](beast::string_view text) { return absl::string_view(text.data(), text.size()); };
    const absl::StatusOr<std::string> answer =
        request.method() == http::verb::get
            ? service_.Answer(view(request.target()), view(request[http::field::authorization]))
            : absl::StatusOr<std::string>(Error(Reason::kInvalidArgument, "tokens are asked for by GET"));
    response_.result(HttpStatusOf(answer.status()));
    response_.set(http::field::content_type, "application/json");
    response_.set(http::field::cache_control, "no-store");
    if (answer.ok())
      response_.body() = *answer;
    else
      response_.body() = nlohmann::json{{"details", std::string(answer.status().message())}}.dump();
    response_.keep_alive(false);
    response_.prepare_payload();
    stream_.expires_after(absl::ToChronoSeconds(service_.options.time_limit));
    http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code, std::size_t) {
      beast::error_code ignored;  // the client may be gone
      self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    });
  }

  beast::tcp_stream stream_;
  Service& service_;
  beast::flat_buffer buffer_{kMaxHeaderBytes};
  http::request_parser<http::empty_body> parser_;
  http::response<http::string_body> response_;
};

class Server final : public TokenEndpoint {
 public:
  Server(const TokenEndpointOptions& options, const RegistryTokens& tokens, Granter granter)
      : service_{options, tokens, std::move(granter)}, pool_(kThreads), acceptor_(asio::make_strand(pool_)) {}
  ~Server() override {
    pool_.stop();
    pool_.join();
  }

  absl::Status Listen() {
    const std::size_t colon = service_.options.address.rfind(':');
    int port = 0;
    beast::error_code error;
    const auto address = asio::ip::make_address(service_.options.address.substr(0, colon), error);
    if (colon == std::string::npos || error || !absl::SimpleAtoi(service_.options.address.substr(colon + 1), &port))
      return Error(Reason::kInvalidArgument,
                   absl::StrCat("'", service_.options.address, "' is not an IP address with a port"));
    const tcp::endpoint endpoint(address, static_cast<unsigned short>(port));
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      return Error(Reason::kUnavailable,
                   absl::StrCat("cannot listen on ", service_.options.address, ": ", error.message()));
    Accept();
    return absl::OkStatus();
  }

  int port() const override { return acceptor_.local_endpoint().port(); }

 private:
  void Accept() {
    acceptor_.async_accept(asio::make_strand(pool_), [this](beast::error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error && service_.connections < service_.options.most_connections)
        std::make_shared<Connection>(std::move(socket), service_)->Read();
      Accept();
    });
  }

  Service service_;
  asio::thread_pool pool_;
  tcp::acceptor acceptor_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TokenEndpoint>> TokenEndpoint::Start(const TokenEndpointOptions& options,
                                                                    const RegistryTokens& tokens, Granter granter) {
  auto server = std::make_unique<Server>(options, tokens, std::move(granter));
  RISEML_RETURN_IF_ERROR(server->Listen());
  return server;
}

}  // namespace riseml::builder
