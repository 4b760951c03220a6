#pragma once
// Who speaks: key pairs of CURVE (Curve25519), their files, and lists of those who may come in.

#include <array>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace disco {

inline constexpr std::size_t kKeyBytes = 32;

/// Names the holder of a secret key. As text: "disco-public-" and 64 hexadecimal digits.
class PublicKey {
 public:
  PublicKey() = default;
  explicit PublicKey(std::span<const std::uint8_t, kKeyBytes> bytes);
  /// InvalidArgument says what is wrong with `text`, and never repeats it: it may be a secret.
  [[nodiscard]] static Result<PublicKey> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::span<const std::uint8_t, kKeyBytes> bytes() const { return bytes_; }
  friend auto operator<=>(const PublicKey&, const PublicKey&) = default;

 private:
  std::array<std::uint8_t, kKeyBytes> bytes_{};
};

/// A secret key and what follows from it. The secret is wiped when this ends, and is in no message.
class KeyPair {
 public:
  using Shared = std::shared_ptr<const KeyPair>;

  /// Unsupported where libzmq was built without CURVE.
  [[nodiscard]] static Result<Shared> make();
  [[nodiscard]] static Result<Shared> from_secret(std::span<const std::uint8_t, kKeyBytes> secret);

  /// Reads what save() wrote.
  ///
  /// @return the pair, or
  ///   - NotFound, Io     the file; Io too where others may read it
  ///   - InvalidArgument  file:line, for what is no secret key, is cut off or damaged
  [[nodiscard]] static Result<Shared> load(const std::filesystem::path& path);

  /// Writes the secret to `path`, for its owner's eyes only, and the public key to public_file(path).
  ///
  /// @param replace  where one of them is there already; otherwise that is an Io and nothing is changed
  [[nodiscard]] Status save(const std::filesystem::path& path, bool replace) const;
  [[nodiscard]] static std::filesystem::path public_file(const std::filesystem::path& path);

  [[nodiscard]] const PublicKey& public_key() const { return public_; }
  [[nodiscard]] std::span<const std::uint8_t, kKeyBytes> secret() const { return secret_; }

  KeyPair(const KeyPair&) = delete;
  KeyPair& operator=(const KeyPair&) = delete;
  ~KeyPair();

 private:
  KeyPair() = default;
  std::array<std::uint8_t, kKeyBytes> secret_{};
  PublicKey public_;
};

/// Reads a list of public keys: one a line, with a comment behind it; '#' begins a line that is passed over.
///
/// @return at least one key, or NotFound, Io, or InvalidArgument with file:line
[[nodiscard]] Result<std::vector<PublicKey>> load_authorised(const std::filesystem::path& path);

/// Unsupported, as one line that says what to do, where libzmq was built without CURVE.
[[nodiscard]] Status check_encryption();

}  // namespace disco
