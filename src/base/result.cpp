#include "base/result.h"

namespace disco {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidArgument: return "InvalidArgument";
    case ErrorCode::InvalidModel: return "InvalidModel";
    case ErrorCode::Unsupported: return "Unsupported";
    case ErrorCode::ShapeMismatch: return "ShapeMismatch";
    case ErrorCode::NotFound: return "NotFound";
    case ErrorCode::Io: return "Io";
    case ErrorCode::Timeout: return "Timeout";
    case ErrorCode::PeerLost: return "PeerLost";
    case ErrorCode::ProtocolMismatch: return "ProtocolMismatch";
    case ErrorCode::Internal: return "Internal";
  }
  return "Unknown";
}

std::string as_one_line(std::string_view text) {
  std::string line(text);
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(line[i]);
    // U+0080 to U+009F are control characters too; UTF-8 writes them as C2 80 to C2 9F.
    const bool is_late_control = byte >= 0x80 && byte < 0xA0 && i > 0 && line[i - 1] == '\xC2';
    if (is_late_control) line[i - 1] = '?';
    if (byte < ' ' || byte == 0x7F || is_late_control) line[i] = '?';
  }
  return line;
}

}  // namespace disco
