#include "services/agent/launch/job_variables.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "services/agent/launch/job_tools.h"
#include "services/common/base/names.h"
#include "services/common/base/reserved_variables.h"

namespace riseml::agent {
namespace {

constexpr std::size_t kMaxCommandBytes = 32 << 10;
constexpr absl::string_view kSystemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// TLS, proxies, locale; names are compared in upper case, since proxies are written in both.
constexpr absl::string_view kInheritedNames[] = {
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY",
    "HTTPS_PROXY",   "ALL_PROXY",    "NO_PROXY",           "LANG",           "LC_ALL",
    "LC_CTYPE",      "TZ",           "GIT_SSL_CAINFO"};
constexpr absl::string_view kInheritedPrefixes[] = {"PIP_", "UV_"};
// Settings that would lead pip and uv to paths that a job does not have.
constexpr absl::string_view kNotInherited[] = {
    "PIP_CONFIG_FILE", "PIP_CACHE_DIR",          "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_LOG",
    "UV_CACHE_DIR",    "UV_PROJECT_ENVIRONMENT", "UV_PYTHON"};
// Variables that limit the threads of libraries, which otherwise start one for each core of the machine.
constexpr absl::string_view kThreadVariables[] = {
    "OMP_NUM_THREADS",        "MKL_NUM_THREADS",     "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",    "NUMEXPR_MAX_THREADS", "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "GOTO_NUM_THREADS",    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",      "POLARS_MAX_THREADS",  "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS", "JULIA_NUM_THREADS",   "GOMAXPROCS",
    "LOKY_MAX_CPU_COUNT",     "PYTHON_CPU_COUNT"};

// (variable, directory below the cache); the first one is the parent directory for most other programs.
constexpr std::pair<absl::string_view, absl::string_view> kCacheVariables[] = {
    {"XDG_CACHE_HOME", ""},
    {"HF_HOME", "/huggingface"},
    {"TORCH_HOME", "/torch"},
    {"PIP_CACHE_DIR", "/pip"},
    {"UV_CACHE_DIR", "/uv"},
    {"POETRY_CACHE_DIR", "/pypoetry"},
    {"KERAS_HOME", "/keras"},
    {"NLTK_DATA", "/nltk_data"},
    {"TFHUB_CACHE_DIR", "/tfhub"},
    {"TFDS_DATA_DIR", "/tensorflow_datasets"},
    {"TRITON_CACHE_DIR", "/triton"},
    {"TORCHINDUCTOR_CACHE_DIR", "/torchinductor"},
    {"TORCH_EXTENSIONS_DIR", "/torch_extensions"},
    {"NUMBA_CACHE_DIR", "/numba"},
    {"CUDA_CACHE_PATH", "/nv"},
    {"CONDA_PKGS_DIRS", "/conda"},
    {"SPACY_CACHE", "/spacy"},
    {"GENSIM_DATA_DIR", "/gensim-data"},
    {"SCIKIT_LEARN_DATA", "/scikit_learn_data"}};

void SetNames(const internal::v1::StartAttemptRequest& start, Variables& out) {
  const std::string experiment = ExperimentOf(start.job());
  const std::string& owner = start.template_().owner();
  out["USER"] = owner.empty() ? std::string("riseml") : owner;
  out["LOGNAME"] = out["USER"];
  out["RISEML_USER"] = out["USER"];
  if (!start.template_().project().empty()) out["RISEML_PROJECT"] = start.template_().project();
  if (experiment.empty()) return;
  out["RISEML_EXPERIMENT"] = experiment;
  out["RISEML_JOB"] = absl::StrCat(experiment, ".", start.job().substr(start.job().rfind('/') + 1));
  out["RISEML_ATTEMPT"] = absl::StrCat(start.attempt());
  if (const std::size_t dot = experiment.find('.'); dot != std::string::npos)
    out["RISEML_SET"] = experiment.substr(0, dot);
}

void SetThreads(double cpus, Variables& out) {
  if (cpus <= 0) return;
  const std::string threads = absl::StrCat(static_cast<std::int64_t>(std::ceil(cpus)));
  for (const absl::string_view name : kThreadVariables) out[std::string(name)] = threads;
}

void SetPorts(const JobPorts& ports, Variables& out) {
  if (ports.master == 0) return;
  out["MASTER_ADDR"] = "127.0.0.1";
  out["MASTER_PORT"] = absl::StrCat(ports.master);
  out["PORT"] = absl::StrCat(ports.service);
}

// Leaves out long commands, since the system refuses variables of 128 KiB.
void SetCommands(const internal::v1::JobTemplate& job, Variables& out) {
  for (int i = 0; i < job.commands_size(); ++i)
    if (job.commands(i).size() <= kMaxCommandBytes) out[absl::StrCat("COMMAND_", i + 1)] = job.commands(i);
}

bool IsInherited(absl::string_view name) {
  const std::string upper = absl::AsciiStrToUpper(name);
  if (std::ranges::find(kNotInherited, upper) != std::end(kNotInherited)) return false;
  return std::ranges::find(kInheritedNames, upper) != std::end(kInheritedNames) ||
         std::ranges::any_of(kInheritedPrefixes, [&upper](absl::string_view p) { return absl::StartsWith(upper, p); });
}

// Makes tools that manage environments of their own use the one the job has.
void AddToolVariables(const std::string& environment, bool builds, Variables* out) {
  out->insert_or_assign("VIRTUAL_ENV", environment);
  const std::pair<const char*, std::string> variables[] = {
      {"UV_PROJECT_ENVIRONMENT", environment},  // for uv sync, run and add, which ignore VIRTUAL_ENV
      {"UV_PYTHON", environment + "/bin/python"},
      {"POETRY_VIRTUALENVS_CREATE", "false"},
      {"PDM_IGNORE_SAVED_PYTHON", "1"},
      {"PIPENV_VERBOSITY", "-1"},
      {"CONDA_ENVS_PATH", environment + "/conda/envs"},
      {"MAMBA_ROOT_PREFIX", environment + "/conda"}};
  for (const auto& [name, value] : variables) out->try_emplace(name, value);
  if (!builds) out->try_emplace("UV_NO_SYNC", "1");  // the environment is complete and read-only
}

}  // namespace

Variables InheritedVariables(const Variables& node) {
  Variables out;
  for (const auto& [name, value] : node)
    if (IsInherited(name)) out[name] = value;
  return out;
}

std::vector<std::string> PathsIn(absl::string_view value) {
  std::vector<std::string> paths;
  for (const absl::string_view word : absl::StrSplit(value, absl::ByAnyChar(" :"), absl::SkipEmpty()))
    if (absl::StartsWith(word, "/") && !absl::StartsWith(word, "//")) paths.emplace_back(word);
  return paths;
}

std::vector<std::string> InheritedPaths(const Variables& node) {
  std::set<std::string> paths;
  for (const auto& [name, value] : InheritedVariables(node))
    for (std::string& path : PathsIn(value)) paths.insert(std::move(path));
  return {paths.begin(), paths.end()};
}

std::string ExperimentOf(absl::string_view job) {
  const std::vector<std::string> parts = absl::StrSplit(job, '/');
  return parts.size() == 6 && parts[2] == "experiments" ? parts[3] : std::string();
}

Variables JobVariables(const internal::v1::StartAttemptRequest& start, const JobPaths& paths, const JobPorts& ports,
                       const Variables& node) {
  Variables out = InheritedVariables(node);
  out.try_emplace("LANG", "C.UTF-8");
  SetNames(start, out);
  out["TMPDIR"] = paths.temporary;
  out["PYTHONUNBUFFERED"] = "1";
  if (!paths.pip_config.empty()) out["PIP_CONFIG_FILE"] = paths.pip_config;
  if (!paths.output.empty()) out["OUTPUT_DIR"] = paths.output;
  if (!paths.shared.empty()) out["RISEML_SHARED_DIR"] = paths.shared;
  for (const auto& [name, path] : paths.inputs) out[InputVariable(name)] = path;
  if (!paths.data.empty()) out["RISEML_DATA_DIR"] = paths.data;
  if (!paths.cache.empty())
    for (const auto& [name, below] : kCacheVariables) out[std::string(name)] = absl::StrCat(paths.cache, below);
  SetPorts(ports, out);
  SetCommands(start.template_(), out);
  const bool bare = start.environment_path().empty();
  out["HOME"] = absl::StrCat(paths.temporary, "/home");
  // Tools such as `uv tool install` put their programs below HOME.
  out["PATH"] = absl::StrCat(bare ? paths.control : start.environment_path(), "/bin:", out["HOME"],
                             "/.local/bin:", paths.control, "/", kToolsDirectory, ":", kSystemPath);
  if (!bare) AddToolVariables(start.environment_path(), start.build_steps_size() > 0, &out);
  if (!paths.python_client.empty()) out["PYTHONPATH"] = paths.python_client;
  out["RISEML_SOCKET"] = absl::StrCat(paths.control, "/socket");
  out["CUDA_VISIBLE_DEVICES"] = absl::StrJoin(start.gpu_uuids(), ",");
  const Variables settled = out;
  SetThreads(start.resources().cpus(), out);
  for (const auto& [name, value] : start.template_().environment()) {
    const bool threads = std::ranges::find(kThreadVariables, name) != std::end(kThreadVariables);
    const bool free = !settled.contains(name) && !BelongsToJob(name);
    if (threads || free || IsSentByApi(name)) out[name] = value;
  }
  // api refuses variables with names that RiseML sets for every job.
  for (const auto& [name, value] : start.template_().variables()) out[name] = value;
  for (const v1::SecretUse& use : start.template_().secrets())
    if (use.as_file()) out[use.name()] = absl::StrCat(paths.temporary, "/", kSecretsDirectory, "/", use.name());
  return out;
}

Variables OwnVariables() {
  Variables out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::pair<std::string, std::string> variable = absl::StrSplit(*entry, absl::MaxSplits('=', 1));
    out.insert(variable);
  }
  return out;
}

}  // namespace riseml::agent
