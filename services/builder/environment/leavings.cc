#include "services/builder/environment/leavings.h"

#include "absl/strings/str_cat.h"
#include "services/builder/environment/plan.h"

namespace riseml::builder {
namespace {

// Attributes that show a change of a file. Directories have none, as they change with their content.
constexpr char kMark[] = R"py(import os, shutil, stat, sys
def mark(info):
    if stat.S_ISDIR(info.st_mode):
        return b""
    return b"%o %d %d" % (info.st_mode, info.st_size, info.st_mtime_ns)
)py";

constexpr char kRemember[] = R"py(
def entries(top):
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            yield os.path.relpath(path, top)
            yield mark(os.lstat(path))
code, home = os.fsencode(os.getcwd()), os.fsencode(os.environ.get("HOME", ""))
with open(sys.argv[1], "wb") as file:
    file.write(b"\0".join([code, home, *entries(code)]))
)py";

constexpr char kKeep[] = R"py(
sys.stdout.reconfigure(errors="backslashreplace")  # names need not be text
MOST_BYTES, MOST_FILES = 4 << 30, 200000
CACHES = {b"__pycache__", b".pytest_cache", b".mypy_cache", b".ruff_cache", b".ipynb_checkpoints"}
with open(sys.argv[1], "rb") as file:
    code, home, *entries = file.read().split(b"\0")
before, target = dict(zip(entries[::2], entries[1::2])), os.fsencode(sys.argv[2])
sizes, files, copies = {}, 0, []
def look(top, place, known, without):
    global files
    for folder, folders, leaves in os.walk(top):
        inner = os.path.relpath(folder, top)
        folders[:] = [name for name in folders if name not in CACHES and not (inner == b"." and name in without)]
        for name in folders + leaves:
            path = os.path.normpath(os.path.join(inner, name))
            info = os.lstat(os.path.join(top, path))
            if path in known or not (stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode) or stat.S_ISDIR(info.st_mode)):
                continue
            head = os.path.join(place, path.split(b"/")[0])
            sizes[head] = sizes.get(head, 0) + (info.st_size if stat.S_ISREG(info.st_mode) else 0)
            files += 1
            copies.append((os.path.join(top, path), os.path.join(target, place, path), info))
look(code, b"code", before, {b".git"})
def changed(path):
    try:
        return before[path] != mark(os.lstat(os.path.join(code, path)))
    except OSError:
        return before[path] != b""
edits = sorted(path for path in before if not (CACHES | {b".git"}).intersection(path.split(b"/")) and changed(path))
inside = os.path.commonpath([home, code]) if home.startswith(b"/") else b""
if home.startswith(b"/") and inside not in (home, code):
    look(home, b"home", set(), {b".cache"})
def shown(head):
    place, name = os.fsdecode(head).split("/", 1)
    return ("~/" if place == "home" else "") + name
total = sum(sizes.values())
def amount(size):
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
largest = ", ".join(f"{shown(head)} ({amount(size)})" for head, size in sorted(sizes.items(), key=lambda x: -x[1])[:5])
if total > MOST_BYTES or files > MOST_FILES:
    sys.exit(f"the steps leave {amount(total)} in {files} files and directories of the project and of HOME, more than an "
             f"environment keeps ({MOST_BYTES / 1e9:.1f} GB, {MOST_FILES} files and directories): {largest}. Download data into ~/.cache, or "
             "put it where jobs find it as /data, or delete it in a last install step. If a virtual environment takes the space, create it in a "
             "step of its own, python -m venv NAME: NAME then becomes a link to the job's environment.")
shutil.rmtree(target, ignore_errors=True)
os.makedirs(target)
for source, copy, info in copies:
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    if stat.S_ISDIR(info.st_mode):
        os.makedirs(copy, exist_ok=True)
    else:
        shutil.copy2(source, copy, follow_symlinks=False)
if edits:
    named = ", ".join(os.fsdecode(path) for path in edits[:5]) + (f" and {len(edits) - 5} more" if len(edits) > 5 else "")
    note = (f"NOTE: install steps changed files of the project ({named}), but jobs get these files as uploaded. "
            "Make such changes under run:, or write a new file instead.")
    print(note)
    with open(os.path.join(target, b"note"), "w", errors="backslashreplace") as file:
        file.write(note)
if copies:
    print(f"Kept from the project's directory and HOME: {files} file{'' if files == 1 else 's'}, {amount(total)}: {largest}")
)py";

std::string MemoryOf(absl::string_view key) {
  return absl::StrCat("\"${TMPDIR:-/tmp}/.riseml-before-", key.substr(0, 8), "\"");
}

}  // namespace

std::string RememberCommand(absl::string_view python, absl::string_view key) {
  return absl::StrCat(Quote(python), " -I -c ", Quote(absl::StrCat(kMark, kRemember)), " ", MemoryOf(key));
}

std::string KeepCommand(absl::string_view python, absl::string_view key, absl::string_view path) {
  return absl::StrCat(Quote(python), " -I -c ", Quote(absl::StrCat(kMark, kKeep)), " ", MemoryOf(key), " ",
                      Quote(absl::StrCat(path, "/", kLeavingsName)));
}

}  // namespace riseml::builder
