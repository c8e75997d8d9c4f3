#include "services/common/rpc/server.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/server_credentials.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/mutex.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/authorization.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/identities.h"
#include "services/common/rpc/status.h"

namespace riseml::rpc {
namespace {

// The server holds a call until its message is complete, before it knows the caller. Users' largest are blocks of a log
// and frames of a push: 256 KiB of data with an index.
constexpr int kMaxUserMessageBytes = 384 << 10, kMaxServiceMessageBytes = 4 << 20;
constexpr int kMaxMetadataBytes = 8 << 10;
constexpr int kUserThreads = 256, kServiceThreads = 16;
constexpr char kHealthPrefix[] = "/grpc.health.v1.Health/";
constexpr absl::string_view kUnixPrefix = "unix:";

std::string Find(const grpc::AuthMetadataProcessor::InputMetadata& metadata, const char* key) {
  const auto it = metadata.find(key);
  return it == metadata.end() ? std::string() : std::string(it->second.data(), it->second.size());
}

grpc::SslServerCredentialsOptions TlsOptions(ListenerKind kind) {
  grpc::SslServerCredentialsOptions options(kind == ListenerKind::kInternal
                                                ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                                : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  return options;
}

bool IsUnix(const std::string& address) { return absl::StartsWith(address, kUnixPrefix); }

// Makes the owner of the socket's directory its owner too, so that a service that runs as root can be called by the
// others of its installation.
absl::Status ShareSocketOfRoot(const std::string& address) {
  if (geteuid() != 0 || !IsUnix(address)) return absl::OkStatus();
  const std::string path = address.substr(kUnixPrefix.size());
  struct stat directory {};
  if (stat(std::filesystem::absolute(path).parent_path().c_str(), &directory) != 0 ||
      lchown(path.c_str(), directory.st_uid, directory.st_gid) != 0)
    return ErrnoError(errno, absl::StrCat("share the socket ", path));
  return absl::OkStatus();
}

// Clients across a network may vanish silently, and are redistributed over the servers from time to time. Behind a Unix
// socket there is one server, and a client that ends closes its connection.
void SetConnectionLimits(grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, 5 * 60'000);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, 30 * 60'000);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
}

// Limits of every server; why each is there: docs/architecture.md, "Limits".
void SetLimits(grpc::ServerBuilder& builder, ListenerKind kind, int max_threads) {
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetMaxReceiveMessageSize(kind == ListenerKind::kUser ? kMaxUserMessageBytes : kMaxServiceMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 100);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MAX_POLLERS, 2);
  builder.SetResourceQuota(grpc::ResourceQuota("server").SetMaxThreads(max_threads));
}

}  // namespace

// Decides about every call before its handler runs: who calls, and whether that is allowed. Refuses all other calls.
class Server::AuthProcessor final : public grpc::AuthMetadataProcessor {
 public:
  explicit AuthProcessor(const ServerOptions& options)
      : kind_(options.kind), authenticator_(options.authenticator), users_(options.users) {}

  bool IsBlocking() const override { return kind_ == ListenerKind::kUser || users_ != nullptr; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    if (!Enter()) return ToGrpc(Error(Reason::kShuttingDown, "the server is stopping; call again"));
    const absl::Status decision = Decide(metadata, *context);
    Leave();
    return ToGrpc(decision);
  }

  // Waits for the calls of Process under way; later ones do not use the authenticator any more. gRPC calls Process from
  // a thread of its own, which the shutdown of a server does not wait for.
  void Close() {
    MutexLock lock(mu_);
    closed_ = true;
    idle_.wait(mu_, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return active_ == 0; });
  }

 private:
  bool Enter() {
    MutexLock lock(mu_);
    if (closed_) return false;
    ++active_;
    return true;
  }
  void Leave() {
    MutexLock lock(mu_);
    --active_;
    idle_.notify_all();
  }

  absl::Status Decide(const InputMetadata& metadata, const grpc::AuthContext& context) {
    const std::string path = Find(metadata, ":path");
    if (absl::StartsWith(path, kHealthPrefix)) return absl::OkStatus();
    const google::protobuf::MethodDescriptor* method = FindMethod(path);
    if (method == nullptr) return absl::UnimplementedError(absl::StrCat("no method ", path));
    const v1::Authorization rule = RuleOf(*method);
    const bool internal = kind_ == ListenerKind::kInternal, for_services = rule.access() == v1::Authorization::SERVICE;
    if (for_services != internal && !(internal && users_ != nullptr))
      return Error(Reason::kPermissionDenied, absl::StrCat(path, " is not served on this listener"));
    const bool acting = metadata.count(kOnBehalfOfKey) > 0;
    if (acting && (!internal || for_services))
      return Error(Reason::kPermissionDenied,
                   absl::StrCat(kOnBehalfOfKey, " is for services that call methods of users on an internal listener"));
    RISEML_ASSIGN_OR_RETURN(const internal::v1::Caller caller, Identify(metadata, context, rule));
    return CheckRule(rule, caller);
  }

  absl::StatusOr<internal::v1::Caller> Identify(const InputMetadata& metadata, const grpc::AuthContext& context,
                                                const v1::Authorization& rule) {
    if (kind_ == ListenerKind::kUser) return IdentifyUser(metadata, rule);
    RISEML_ASSIGN_OR_RETURN(internal::v1::Caller service, IdentifyService(context));
    if (rule.access() == v1::Authorization::SERVICE) return service;
    return ActFor(metadata, service.service());
  }

  static absl::StatusOr<internal::v1::Caller> IdentifyService(const grpc::AuthContext& context) {
    const auto names = context.FindPropertyValues(GRPC_X509_CN_PROPERTY_NAME);
    if (names.size() != 1) return Error(Reason::kUnauthenticated, "client certificate without a common name");
    internal::v1::Caller caller;
    caller.set_kind(internal::v1::Caller::SERVICE);
    caller.set_service(std::string(names[0].data(), names[0].size()));
    return caller;
  }

  // The user whom a service acts for.
  absl::StatusOr<internal::v1::Caller> ActFor(const InputMetadata& metadata, const std::string& service) {
    if (!MayActForUsers(service))
      return Error(Reason::kPermissionDenied, absl::StrCat("service ", service, " may not act for users"));
    if (metadata.count(kOnBehalfOfKey) != 1)
      return Error(Reason::kUnauthenticated, absl::StrCat("name one user as ", kOnBehalfOfKey, ", e.g. users/paul"));
    const std::string name = Find(metadata, kOnBehalfOfKey);
    RISEML_ASSIGN_OR_RETURN(const UserName user, ParseUserName(name));
    RISEML_ASSIGN_OR_RETURN(internal::v1::Caller caller, users_->FindUser(user.user));
    caller.set_acting_service(service);
    Identities::OfProcess().Put(ActingKey(service, name), caller);
    return caller;
  }

  absl::StatusOr<internal::v1::Caller> IdentifyUser(const InputMetadata& metadata, const v1::Authorization& rule) {
    const std::string credential = BearerToken(Find(metadata, kAuthorizationKey));
    if (credential.empty() || credential.size() > 256) {
      if (rule.access() == v1::Authorization::PUBLIC) return internal::v1::Caller();
      return Error(Reason::kUnauthenticated, "no credential; log in with `riseml user login`");
    }
    RISEML_ASSIGN_OR_RETURN(internal::v1::Caller caller, authenticator_->Authenticate(credential));
    Identities::OfProcess().Put(CredentialKey(credential), caller);
    return caller;
  }

  const ListenerKind kind_;
  Authenticator* const authenticator_;  // outlives the server
  UserDirectory* const users_;          // outlives the server; null: no service acts for users here
  Mutex mu_;
  std::condition_variable_any idle_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  int active_ ABSL_GUARDED_BY(mu_) = 0;  // calls of Process under way
};

bool HasAddress(const config::v1::Listener& listener) {
  return !listener.address().empty() || !listener.socket_address().empty();
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(ServerOptions options) {
  grpc::EnableDefaultHealthCheckService(true);
  RISEML_ASSIGN_OR_RETURN(const std::string certificate, ReadFile(options.listener.certificate_file(), 1 << 20));
  RISEML_ASSIGN_OR_RETURN(const std::string key, ReadFile(options.listener.key_file(), 1 << 20));
  grpc::SslServerCredentialsOptions tls = TlsOptions(options.kind);
  tls.pem_key_cert_pairs.push_back({key, certificate});
  if (options.kind == ListenerKind::kInternal) {
    RISEML_ASSIGN_OR_RETURN(tls.pem_root_certs, ReadFile(options.listener.client_ca_file(), 1 << 20));
  } else if (options.authenticator == nullptr) {
    return absl::InternalError("a user listener needs an authenticator");
  }
  if (options.kind == ListenerKind::kInternal && !options.listener.socket_address().empty())
    return absl::InternalError("an internal listener has no socket_address: its callers show certificates");
  std::unique_ptr<Server> server(new Server());
  server->auth_ = std::make_shared<AuthProcessor>(options);

  grpc::ServerBuilder builder;
  const int default_threads = options.kind == ListenerKind::kUser ? kUserThreads : kServiceThreads;
  SetLimits(builder, options.kind, options.max_threads > 0 ? options.max_threads : default_threads);
  const auto listen = [&](const std::string& address, const std::shared_ptr<grpc::ServerCredentials>& credentials,
                          int* port) {
    credentials->SetAuthMetadataProcessor(server->auth_);
    builder.AddListeningPort(address, credentials, port);
  };
  const std::string& address = options.listener.address();
  const std::string& socket = options.listener.socket_address();
  if (!address.empty() && !IsUnix(address)) SetConnectionLimits(builder);
  int socket_port = 1;
  if (!address.empty()) listen(address, grpc::SslServerCredentials(tls), &server->port_);
  if (!socket.empty()) listen(socket, grpc::experimental::LocalServerCredentials(UDS), &socket_port);
  for (grpc::Service* service : options.services) builder.RegisterService(service);
  if (options.services.empty()) {
    // gRPC refuses to start without a method of ours to poll for. This one answers UNIMPLEMENTED; health checks do not
    // need it.
    server->health_only_ = std::make_unique<grpc::CallbackGenericService>();
    builder.RegisterCallbackGenericService(server->health_only_.get());
  }
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || socket_port == 0 || (!address.empty() && server->port_ == 0))
    return Error(Reason::kUnavailable, absl::StrCat("listen on ", address, address.empty() ? "" : " ", socket,
                                                    ": address in use, or certificate not usable"));
  for (const std::string& one : {address, socket}) RISEML_RETURN_IF_ERROR(ShareSocketOfRoot(one));
  server->server_->GetHealthCheckService()->SetServingStatus(true);
  LogInfo("listening", {{"address", address},
                        {"socket", socket},
                        {"port", server->port_},
                        {"kind", options.kind == ListenerKind::kUser ? "user" : "internal"}});
  return server;
}

void Server::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;
  server_->GetHealthCheckService()->SetServingStatus(false);
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(grace));
  server_->Wait();
  server_.reset();
  auth_->Close();
}

Server::~Server() { Shutdown(absl::ZeroDuration()); }

}  // namespace riseml::rpc
