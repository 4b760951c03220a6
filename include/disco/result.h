#pragma once
// Errors are values: no exception and no abort crosses the library's boundary for what a user, a file or a
// peer did.

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace disco {

/// What went wrong, as a class that a program can act on; the message is for people.
enum class ErrorCode {
  InvalidArgument,  ///< a flag, option or argument that cannot be; nothing was done
  InvalidModel,     ///< not an ONNX file, truncated, or it contradicts itself
  Unsupported,  ///< a valid model that uses an operator, type or form that is not claimed (docs/operators.md)
  ShapeMismatch,     ///< an input has another shape or type than the model asks for
  NotFound,          ///< a file, input name or node that is not there
  Io,                ///< the operating system refused to read, write or bind
  Timeout,           ///< a wait reached its deadline
  PeerLost,          ///< a node went away
  ProtocolMismatch,  ///< a peer speaks another version, or sent what cannot be
  Internal,          ///< a bug of this project; please report it
};

/// The enumerator's name, e.g. "InvalidModel".
[[nodiscard]] std::string_view to_string(ErrorCode code);

/// One line that says what, where and what to do.
struct Error {
  ErrorCode code = ErrorCode::Internal;
  std::string message;
};

/// A value or an Error. Test it before use: `if (!r) return r.error();`
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  [[nodiscard]] T& value() & { return assert(ok()), *std::get_if<0>(&state_); }
  [[nodiscard]] const T& value() const& { return assert(ok()), *std::get_if<0>(&state_); }
  [[nodiscard]] T&& value() && { return assert(ok()), std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  [[nodiscard]] const Error& error() const { return assert(!ok()), *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

/// Success, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] const Error& error() const { return assert(!ok()), *error_; }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace disco
