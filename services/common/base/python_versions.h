// Which interpreter of Python an image asks for, and where this machine may have it.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml {

// "3.10" for "python:3.10", "python:3.10.4-slim" and "docker.io/library/python:3.10"; empty for images that name no
// version with two numbers.
std::string PythonOfImage(absl::string_view image);

// Programs `python<version>` that exist, the most usual place first: /usr/local/bin, /usr/bin, then `directories`, each
// as DIR/python3.10, DIR/3.10*/bin/python3.10 (pyenv) and DIR/cpython-3.10*/bin/python3.10 (uv). At most 20; whether
// they work is not known.
std::vector<std::string> FindPython(const std::string& version, const std::vector<std::string>& directories);

// The directory that an interpreter needs besides the system's own: PREFIX of PREFIX/bin/python3; empty below /usr.
std::string PythonPrefix(const std::string& python);

}  // namespace riseml
