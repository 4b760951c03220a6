#pragma once
// Short ways to make and pass on errors. The types are public: see disco/result.h.

#include <disco/result.h>
#include <fmt/format.h>

namespace disco {

/// An Error whose message is formatted: `return error(ErrorCode::Io, "{}: {}", path, reason);`
template <typename... Args>
[[nodiscard]] Error error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return {code, fmt::format(format, std::forward<Args>(args)...)};
}

/// The same error with "context: " before its message.
[[nodiscard]] inline Error in_context(std::string_view context, const Error& inner) {
  return {inner.code, fmt::format("{}: {}", context, inner.message)};
}

/// Text that a file or a peer wrote, as part of one line for a terminal: control characters become '?'.
[[nodiscard]] std::string as_one_line(std::string_view text);

}  // namespace disco

#define DISCO_CONCAT_INNER(a, b) a##b
#define DISCO_CONCAT(a, b) DISCO_CONCAT_INNER(a, b)

/// Returns the error of a Status expression from the enclosing function.
#define DISCO_CHECK(expression)                            \
  do {                                                     \
    if (auto disco_status = (expression); !disco_status) { \
      return disco_status.error();                         \
    }                                                      \
  } while (false)

/// `DISCO_TRY(auto graph, load_onnx(path));` binds the value or returns the error.
#define DISCO_TRY(declaration, expression) \
  DISCO_TRY_NAMED(DISCO_CONCAT(disco_result_, __LINE__), declaration, expression)
#define DISCO_TRY_NAMED(result, declaration, expression) \
  auto result = (expression);                            \
  if (!result) {                                         \
    return result.error();                               \
  }                                                      \
  declaration = std::move(result).value()
