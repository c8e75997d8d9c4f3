// gRPC servers with one configuration: TLS, limits, authentication, authorisation (default deny), health.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/config/v1/common.pb.h"
#include "riseml/internal/v1/access.pb.h"

namespace riseml::rpc {

// Tells whom a credential (API key or attempt token) belongs to. Thread-safe; may block for a moment.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // UNAUTHENTICATED for an unknown, expired or revoked credential; any other error denies too.
  virtual absl::StatusOr<internal::v1::Caller> Authenticate(absl::string_view credential) = 0;
};

// Finds the users whom services act for. Thread-safe; may block for a moment.
class UserDirectory {
 public:
  virtual ~UserDirectory() = default;
  // `user` is the name without "users/". UNAUTHENTICATED, in the same words, for an unknown and for a disabled user.
  virtual absl::StatusOr<internal::v1::Caller> FindUser(absl::string_view user) = 0;
};

enum class ListenerKind {
  kUser,      // server TLS; methods PUBLIC, VIEWER, USER, ADMIN, JOB
  kInternal,  // mutual TLS; methods for SERVICE, and those for users if `users` is set
};

// True when a listener says where it listens.
bool HasAddress(const config::v1::Listener& listener);

struct ServerOptions {
  ListenerKind kind = ListenerKind::kUser;
  config::v1::Listener listener;
  Authenticator* authenticator = nullptr;  // outlives the server; needed for kUser
  // For kInternal: serves methods of users to services that act for users (authorization.h), if the call names the
  // user as kOnBehalfOfKey. No such method is served if this is null. Must outlive the server.
  UserDirectory* users = nullptr;
  std::vector<grpc::Service*> services;  // outlive the server; none: health checks only
  int max_threads = 0;  // of synchronous methods; 0: 256 for users (who hold 64 each at most, user_calls.h), else 16
};

// A running server. Thread-safe.
class Server {
 public:
  // Refuses to start when a method of a service has no authorisation rule, or one that does not fit the listener.
  static absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options);
  ~Server();

  // Port it listens on (useful when the configured one is 0).
  int port() const { return port_; }

  // Says NOT_SERVING, lets calls finish for up to `grace`, then cancels them. Idempotent.
  void Shutdown(absl::Duration grace);

 private:
  class AuthProcessor;
  Server() = default;
  int port_ = 0;
  std::shared_ptr<AuthProcessor> auth_;
  std::unique_ptr<grpc::CallbackGenericService> health_only_;  // of a server without services
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace riseml::rpc
