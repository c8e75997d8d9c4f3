#include "services/common/logtext/sanitize.h"

#include "absl/strings/str_format.h"
#include "services/common/logtext/invisible.h"

namespace riseml::logtext {
namespace {

constexpr unsigned char kEsc = 0x1B;
constexpr std::size_t kMaxCsi = 64;
constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";

bool IsSgrParameter(char byte) { return (byte >= '0' && byte <= '9') || byte == ';' || byte == ':'; }

}  // namespace

std::string Sanitizer::Append(absl::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (const char byte : bytes) Take(static_cast<unsigned char>(byte), out);
  return out;
}

std::string Sanitizer::Finish() {
  std::string out;
  if (state_ == State::kText && !pending_.empty()) Replace(out);
  EndJoiner(0, out);
  if (colored_) out += "\x1B[0m";
  pending_.clear();
  state_ = State::kText;
  colored_ = false;
  return out;
}

void Sanitizer::Take(unsigned char byte, std::string& out) {
  switch (state_) {
    case State::kText:
      return TakeText(byte, out);
    case State::kEscape:
      return TakeEscape(byte, out);
    case State::kCsi:
      return TakeCsi(byte, out);
    case State::kString:
    case State::kStringEscape:
      return TakeString(byte, out);
  }
}

// True if `byte` may continue the character in pending_. The second byte's range keeps out overlong forms, surrogates
// and code points beyond U+10FFFF.
bool Sanitizer::Continues(unsigned char byte) const {
  if (pending_.size() != 1) return byte >= 0x80 && byte <= 0xBF;
  switch (static_cast<unsigned char>(pending_[0])) {
    case 0xE0:
      return byte >= 0xA0 && byte <= 0xBF;
    case 0xED:
      return byte >= 0x80 && byte <= 0x9F;
    case 0xF0:
      return byte >= 0x90 && byte <= 0xBF;
    case 0xF4:
      return byte >= 0x80 && byte <= 0x8F;
    default:
      return byte >= 0x80 && byte <= 0xBF;
  }
}

void Sanitizer::EndCharacter(std::string& out) {
  std::string character;
  character.swap(pending_);
  const char32_t code = CodePointOf(character);
  if (code < 0xA0) return TakeControl(static_cast<unsigned char>(code), out);
  // A joiner that follows another joiner does not join.
  const char32_t before = joiner_ != 0 ? 0 : before_;
  EndJoiner(code, out);
  if (IsJoiner(code)) {
    joiner_ = code;
    before_ = before;
  } else {
    out += IsInvisible(code) ? Escaped(code) : character;
  }
}

// Decides by the next character whether to show a joiner.
void Sanitizer::EndJoiner(char32_t next, std::string& out) {
  if (joiner_ != 0) {
    const char* const plain = joiner_ == 0x200C ? "\u200c" : "\u200d";
    out += JoinsText(before_, joiner_, next) ? plain : Escaped(joiner_);
  }
  joiner_ = 0;
  before_ = next;
}

void Sanitizer::Replace(std::string& out) {
  EndJoiner(0, out);
  out.append(kReplacement.data(), kReplacement.size());
}

void Sanitizer::TakeText(unsigned char byte, std::string& out) {
  if (!pending_.empty()) {
    if (Continues(byte)) {
      pending_.push_back(static_cast<char>(byte));
      if (pending_.size() == expected_) EndCharacter(out);
      return;
    }
    pending_.clear();
    Replace(out);
  }
  if (byte < 0x20 || byte == 0x7F) return TakeControl(byte, out);
  if (byte < 0x80) {
    EndJoiner(byte, out);
    out.push_back(static_cast<char>(byte));
  } else if (byte >= 0xC2 && byte <= 0xF4) {
    pending_.assign(1, static_cast<char>(byte));
    expected_ = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
  } else {
    Replace(out);
  }
}

// A C0 control, DEL, or a C1 control (which came as UTF-8).
void Sanitizer::TakeControl(unsigned char byte, std::string& out) {
  EndJoiner(0, out);
  switch (byte) {
    case '\n':
    case '\t':
      out.push_back(static_cast<char>(byte));
      return;
    case kEsc:
      state_ = State::kEscape;
      return;
    case 0x9B:  // CSI
      state_ = State::kCsi;
      return;
    case 0x90:  // DCS
    case 0x98:  // SOS
    case 0x9D:  // OSC
    case 0x9E:  // PM
    case 0x9F:  // APC
      state_ = State::kString;
      return;
    default:
      absl::StrAppendFormat(&out, "\\x%02x", byte);
  }
}

void Sanitizer::TakeEscape(unsigned char byte, std::string& out) {
  if (byte == '[') {
    state_ = State::kCsi;
  } else if (byte == ']' || byte == 'P' || byte == 'X' || byte == '^' || byte == '_') {
    state_ = State::kString;
  } else if (byte >= 0x20 && byte <= 0x2F) {
    return;  // intermediate byte, e.g. of a character set selection
  } else if (byte >= 0x30 && byte <= 0x7E) {
    state_ = State::kText;
  } else {
    state_ = State::kText;
    TakeText(byte, out);
  }
}

void Sanitizer::TakeCsi(unsigned char byte, std::string& out) {
  if (byte >= 0x20 && byte <= 0x3F && pending_.size() < kMaxCsi) {
    pending_.push_back(static_cast<char>(byte));
    return;
  }
  std::string parameters;
  parameters.swap(pending_);
  state_ = State::kText;
  if (byte < 0x40 || byte > 0x7E) return TakeText(byte, out);
  if (byte != 'm' || !colors_) return;
  bool reset = true;
  for (const char c : parameters) {
    if (!IsSgrParameter(c)) return;
    reset = reset && c == '0';
  }
  colored_ = !reset;
  out += "\x1B[" + parameters + "m";
}

// An operating system command or similar string. A newline ends it too, so that it cannot hide the text after it.
void Sanitizer::TakeString(unsigned char byte, std::string& out) {
  if (state_ == State::kStringEscape) {
    state_ = State::kEscape;
    if (byte == '\\') {
      state_ = State::kText;
      return;
    }
    return TakeEscape(byte, out);
  }
  if (byte == kEsc) {
    state_ = State::kStringEscape;
  } else if (byte == '\n') {
    state_ = State::kText;
    TakeText(byte, out);
  } else if (byte == 0x07 || byte == 0x18 || byte == 0x1A) {
    state_ = State::kText;
  }
}

std::string Sanitize(absl::string_view text, bool colors) {
  Sanitizer sanitizer(colors);
  std::string out = sanitizer.Append(text);
  return out + sanitizer.Finish();
}

}  // namespace riseml::logtext
