// Programs and options whose use of files is known; for read_collector.h.
#pragma once

#include "absl/strings/string_view.h"

namespace riseml::builder {

// Words that may stand in front of the command they run.
inline constexpr absl::string_view kPrefixes[] = {
    "sudo", "env",   "exec", "command", "time", "nice",    "nohup", "if", "then", "elif", "else",  "do",
    "!",    "while", "{",    "until",   "eval", "builtin", "xargs", "fi", "done", "}",    "stdbuf"};
// Programs that read nothing of the project, whatever their words are.
inline constexpr absl::string_view kReadNothing[] = {
    "echo",   "printf",   "true",  "false",    ":",        "mkdir",   "rm",         "rmdir",     "export", "unset",
    "set",    "sleep",    "exit",  "ulimit",   "umask",    "hash",    "type",       "which",     "pwd",    "date",
    "uname",  "id",       "nproc", "free",     "df",       "lscpu",   "nvidia-smi", "touch",     "chmod",  "popd",
    "whoami", "return",   "shopt", "trap",     "wait",     "local",   "mktemp",     "hostname",  "break",  "deactivate",
    "alias",  "continue", "shift", "readlink", "realpath", "dirname", "basename",   "virtualenv"};
// Programs that read only what their words name.
inline constexpr absl::string_view kReadWords[] = {"cat",
                                                   "cp",
                                                   "mv",
                                                   "ln",
                                                   "head",
                                                   "tail",
                                                   "grep",
                                                   "egrep",
                                                   "sed",
                                                   "awk",
                                                   "sort",
                                                   "uniq",
                                                   "tr",
                                                   "wc",
                                                   "cut",
                                                   "tee",
                                                   "ls",
                                                   "test",
                                                   "[",
                                                   "[[",
                                                   "find",
                                                   "rsync",
                                                   "tar",
                                                   "unzip",
                                                   "gunzip",
                                                   "gzip",
                                                   "bunzip2",
                                                   "xz",
                                                   "wget",
                                                   "curl",
                                                   "aria2c",
                                                   "git",
                                                   "patch",
                                                   "diff",
                                                   "cmp",
                                                   "install",
                                                   "zip",
                                                   "sha256sum",
                                                   "md5sum",
                                                   "gdown",
                                                   "kaggle",
                                                   "hf",
                                                   "huggingface-cli",
                                                   "for",
                                                   "du",
                                                   "stat",
                                                   "file",
                                                   "dd",
                                                   "split",
                                                   "read",
                                                   "jq",
                                                   "spacy",
                                                   "playwright",
                                                   "gsutil",
                                                   "aws"};
// Programs that print paths, perhaps the project's, which the command around them then reads.
inline constexpr absl::string_view kPathPrinters[] = {"pwd", "dirname", "realpath", "readlink"};
// Variables whose value names files that pip or uv read.
inline constexpr absl::string_view kFileVariables[] = {
    "PIP_REQUIREMENT", "PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "PIP_CONFIG_FILE", "PIP_FIND_LINKS",
    "UV_CONSTRAINT",   "UV_OVERRIDE",    "UV_BUILD_CONSTRAINT",  "UV_CONFIG_FILE",  "UV_FIND_LINKS"};
// Programs that run the commands of a word or a file.
inline constexpr absl::string_view kShells[] = {"sh", "bash", "dash", "zsh", "ksh"};
// Options of pip and its kind whose value is not a file of the project.
inline constexpr absl::string_view kPipValues[] = {"-i",
                                                   "--index-url",
                                                   "--extra-index-url",
                                                   "--trusted-host",
                                                   "--proxy",
                                                   "--cert",
                                                   "--timeout",
                                                   "--retries",
                                                   "--cache-dir",
                                                   "--python",
                                                   "--python-version",
                                                   "--platform",
                                                   "--abi",
                                                   "--progress-bar",
                                                   "--only-binary",
                                                   "--no-binary",
                                                   "--index-strategy",
                                                   "--extra",
                                                   "--upgrade-strategy",
                                                   "-p",
                                                   "--torch-backend",
                                                   "--index",
                                                   "--prefix",
                                                   "--target",
                                                   "-t",
                                                   "--root"};
// Options of pip and its kind whose value is a file of requirements.
inline constexpr absl::string_view kRequirementOptions[] = {
    "-r",           "--requirement",      "--requirements",     "-c",
    "--constraint", "--constraints",      "--override",         "--overrides",
    "-b",           "--build-constraint", "--build-constraints"};
// Suffixes of packages that are files.
inline constexpr absl::string_view kArchives[] = {".whl", ".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz"};

}  // namespace riseml::builder
