#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/client/errors.h"
#include "cli/client/experiments.h"
#include "cli/client/project.h"
#include "cli/commands/commands.h"
#include "cli/render/format.h"
#include "cli/render/status_view.h"
#include "riseml/v1/file.grpc.pb.h"
#include "services/common/archive/unpack.h"
#include "services/common/base/files/file.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/status.h"

namespace riseml::cli {
namespace {

constexpr absl::Duration kProgressInterval = absl::Milliseconds(100);

struct CodeOptions {
  std::string id;
  std::string directory;
  bool quiet = false;
};

// The archive of a revision, piece by piece. Ctrl-C ends it.
class CodeDownload {
 public:
  CodeDownload(Connection& connection, Interrupts& interrupts, std::string address, const std::string& revision)
      : interrupts_(interrupts),
        address_(std::move(address)),
        stub_(v1::FileService::NewStub(connection.Channel(address_))),
        request_id_(connection.PrepareStream(context_)) {
    interrupts_.Listen([this] { context_.TryCancel(); });
    v1::GetArchiveRequest request;
    request.set_revision(revision);
    reader_ = stub_->GetArchive(&context_, request);
  }
  ~CodeDownload() {
    interrupts_.Listen({});
    if (finished_) return;
    context_.TryCancel();
    (void)reader_->Finish();  // cancelled: the answer does not matter
  }

  // Empty at the end. CANCELLED after Ctrl-C.
  absl::StatusOr<std::string> Next() {
    v1::GetArchiveResponse response;
    while (!finished_ && reader_->Read(&response))
      if (!response.data().empty()) return std::move(*response.mutable_data());
    if (!finished_) {
      finished_ = true;
      status_ = WithCall(rpc::FromGrpc(reader_->Finish()), "sync service", address_, request_id_);
    }
    RISEML_RETURN_IF_ERROR(status_);
    return std::string();
  }

 private:
  Interrupts& interrupts_;
  const std::string address_;
  const std::unique_ptr<v1::FileService::Stub> stub_;
  grpc::ClientContext context_;
  const std::string request_id_;
  std::unique_ptr<grpc::ClientReader<v1::GetArchiveResponse>> reader_;
  bool finished_ = false;
  absl::Status status_;
};

// A directory that was absent or empty. Its new content is removed again unless it is kept.
class CheckoutDirectory {
 public:
  static absl::StatusOr<std::unique_ptr<CheckoutDirectory>> Make(const std::string& path) {
    std::error_code error;
    const bool made = !std::filesystem::exists(std::filesystem::symlink_status(path, error));
    if (made) {
      RISEML_RETURN_IF_ERROR(While(absl::StrCat("make ", path), MakeDirectories(path)));
    } else if (!std::filesystem::is_directory(path, error) || !std::filesystem::is_empty(path, error) || error) {
      return absl::AlreadyExistsError(absl::StrCat(OneLine(path),
                                                   error ? " cannot be read" : " exists and is not an empty directory",
                                                   "; name another one: riseml code checkout ID DIR"));
    }
    return std::make_unique<CheckoutDirectory>(path, made);
  }
  CheckoutDirectory(std::string path, bool made) : path_(std::move(path)), made_(made) {}
  ~CheckoutDirectory() {
    if (kept_) return;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(path_, ignored))
      std::filesystem::remove_all(entry.path(), ignored);
    if (made_) std::filesystem::remove(path_, ignored);
  }
  void Keep() { kept_ = true; }

 private:
  const std::string path_;
  const bool made_;
  bool kept_ = false;
};

// The project that a new directory lies in: the nearest one above it with a riseml.yml; empty: none.
std::string ProjectAround(const std::string& directory) {
  std::error_code error;
  std::filesystem::path at = std::filesystem::canonical(directory, error);
  while (!error && at != at.parent_path()) {
    at = at.parent_path();
    if (std::filesystem::exists(at / kConfigName, error)) return at.string();
  }
  return "";
}

absl::StatusOr<int> Checkout(Session& session, const CodeOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Interrupts* const interrupts, session.Signals());
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  RISEML_ASSIGN_OR_RETURN(const Subject subject, ResolveSubject(*connection, options.id, "No experiments!"));
  if (!subject.note.empty()) session.Tell(absl::StrCat(subject.note, "\n"));
  RISEML_ASSIGN_OR_RETURN(const v1::Experiment experiment, GetExperiment(*connection, subject.experiment));
  RISEML_ASSIGN_OR_RETURN(const RevisionName revision, ParseRevisionName(experiment.revision()));
  RISEML_ASSIGN_OR_RETURN(const v1::ClusterInfo cluster, connection->Cluster());

  const std::string number = experiment.name().substr(experiment.name().rfind('/') + 1);
  const std::string directory =
      options.directory.empty() ? absl::StrCat(revision.project, "-", number) : options.directory;
  RISEML_ASSIGN_OR_RETURN(const auto target, CheckoutDirectory::Make(directory));
  const bool redraw = session.out().tty && !options.quiet;
  CodeDownload download(*connection, *interrupts, cluster.gitsync_address(), experiment.revision());
  std::int64_t received = 0;
  absl::Time drawn = session.Now();
  const absl::Status unpacked = UnpackArchive(
      [&]() -> absl::StatusOr<std::string> {
        if (redraw && session.Now() - drawn > kProgressInterval) {
          drawn = session.Now();
          session.Print(absl::StrCat("\rFetching the code: ", Size(received), "\x1b[K"));
        }
        RISEML_ASSIGN_OR_RETURN(std::string data, download.Next());
        received += static_cast<std::int64_t>(data.size());
        return data;
      },
      directory);
  if (redraw) session.Print("\r\x1b[K");
  if (absl::IsCancelled(unpacked)) {
    session.Tell("Aborting...\n");
    return kExitInterrupted;
  }
  RISEML_RETURN_IF_ERROR(While(absl::StrCat("fetch the code of ", subject.shown), unpacked));
  target->Keep();
  session.Print(options.quiet ? absl::StrCat(directory, "\n")
                              : absl::StrCat(CodeLine(experiment), "Directory: ", OneLine(directory), "\n"));
  if (const std::string project = ProjectAround(directory); !project.empty()) {
    session.Tell(absl::StrCat("NOTE: it lies in the project ", OneLine(project),
                              " and is uploaded with it from now on; write its name into .risemlignore, or name a "
                              "directory elsewhere\n"));
  }
  return kExitOk;
}

}  // namespace

void AddCode(cmdline::Command app, Plan& plan) {
  cmdline::Command group = AddCommand(app, "code", "Get the code of experiments back", "  riseml code checkout 26");
  group.RequireCommand(/*optional=*/true);
  auto options = std::make_shared<CodeOptions>();
  cmdline::Command checkout =
      AddCommand(group, "checkout", "Write the code that an experiment ran into a directory",
                 "  riseml code checkout 26              into PROJECT-26\n"
                 "  riseml code checkout 26 /tmp/code\n"
                 "  diff -r $(riseml code checkout -q 26) $(riseml code checkout -q 27)\n\n"
                 "riseml.yml is not part of the code. What it said is riseml-experiment.yml in the output.");
  checkout.AddOption("id", options->id, "Experiment, set or job; default: the newest").Type("ID").Check(CheckId);
  checkout.AddOption("directory", options->directory, "New or empty directory; default: PROJECT-ID").Type("DIR");
  checkout.AddFlag("-q,--quiet", options->quiet, "Print the name of the directory only");
  checkout.OnTyped(
      [&plan, options] { plan.action = [options](Session& session) { return Checkout(session, *options); }; });
}

}  // namespace riseml::cli
