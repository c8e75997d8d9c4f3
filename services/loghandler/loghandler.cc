#include "services/loghandler/loghandler.h"

#include <string>
#include <utility>
#include <vector>

#include "services/common/base/status_macros.h"

namespace riseml::loghandler {
namespace {

constexpr int kWriterThreads = 2;
constexpr int kReaderThreads = 4;

}  // namespace

LogHandler::LogHandler(prometheus::Registry& metrics)
    : metrics_(metrics), writers_(kWriterThreads), readers_(kReaderThreads) {}

absl::StatusOr<std::unique_ptr<LogHandler>> LogHandler::Start(LogHandlerOptions options, const Clock& clock,
                                                              prometheus::Registry& metrics) {
  std::unique_ptr<LogHandler> self(new LogHandler(metrics));
  RISEML_ASSIGN_OR_RETURN(self->store_, Store::Open(std::move(options.store), clock, self->metrics_));
  self->owners_ = options.owners;
  self->authenticator_ = std::make_unique<rpc::RemoteAuthenticator>(options.api, clock);
  self->open_calls_ = std::make_unique<rpc::OpenCalls>(*self->authenticator_, options.api, clock);
  self->registry_ = std::make_unique<RegistryClient>(options.registry, options.api, *self->store_, clock);
  self->core_ = std::make_unique<IngestCore>(*self->store_, self->metrics_);
  self->ingest_ = std::make_unique<IngestHandler>(*self->store_, *self->core_, self->writers_, self->metrics_);
  self->follow_ = std::make_unique<FollowHandler>(options.follow, *self->store_, *self->registry_, *self->owners_,
                                                  self->readers_, *self->open_calls_, clock, self->metrics_);
  self->service_ = std::make_unique<LogServiceAdapter>(*self->follow_, *self->ingest_);
  self->store_->AddListener([handler = self.get()](const Stream& stream) {
    handler->follow_->OnNews(stream.id());
    handler->registry_->OnDurable(stream);
  });
  rpc::ServerOptions server;
  server.kind = rpc::ListenerKind::kUser;
  server.listener = options.user_listener;
  server.authenticator = self->authenticator_.get();
  server.services = {self->service_.get()};
  RISEML_ASSIGN_OR_RETURN(self->server_, rpc::Server::Start(server));
  FollowHandler* const follow = self->follow_.get();
  self->registry_->Start([follow](const std::vector<std::string>& roots) { follow->OnRootsChanged(roots); },
                         [follow](bool watching) { follow->SetWatching(watching); });
  Store* const store = self->store_.get();
  self->remover_ = std::make_unique<rpc::Remover>(
      rpc::RemoverOptions{.kind = internal::v1::ListRemovalsRequest::LOG,
                          .pause = options.removal_pause,
                          .remove = [store](const std::string& job_uid) { return store->Remove(job_uid); }},
      options.api);
  return self;
}

void LogHandler::Stop(absl::Duration grace) {
  remover_.reset();
  if (follow_ != nullptr) follow_->Stop();
  if (ingest_ != nullptr) ingest_->Stop();
  if (server_ != nullptr) server_->Shutdown(grace);
  writers_.Stop();
  readers_.Stop();
  if (store_ != nullptr) store_->Stop();
  if (registry_ != nullptr) registry_->Stop();
}

}  // namespace riseml::loghandler
