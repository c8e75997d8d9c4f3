#include "services/common/base/own_environment.h"

#include <string.h>
#include <unistd.h>

namespace riseml {

void HideEnvironment() {
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    char* const shown = *entry;
    const std::size_t size = strlen(shown);
    *entry = new char[size + 1];  // kept until the process ends
    memcpy(*entry, shown, size + 1);
    explicit_bzero(shown, size);
  }
}

}  // namespace riseml
