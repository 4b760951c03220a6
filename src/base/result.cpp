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

}  // namespace disco
