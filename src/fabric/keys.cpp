#include "fabric/keys.h"

#include <sys/stat.h>
#include <zmq.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/file.h"

namespace disco {
namespace {

constexpr std::string_view kPublicPrefix = "disco-public-";
constexpr std::string_view kSecretPrefix = "disco-secret-";
constexpr std::size_t kZ85Chars = 41;  // with the zero at its end
/// A file of keys that is longer is something else.
constexpr std::uint64_t kMostBytes = std::uint64_t{4} << 20;

using KeyBytes = std::array<std::uint8_t, kKeyBytes>;

/// Memory that held a secret is cleared, in a way that no compiler leaves out.
template <typename Bytes>
void wipe(Bytes& bytes) {
  explicit_bzero(bytes.data(), bytes.size());
}

/// Calls a function when it ends, however the scope is left.
template <typename Function>
struct AtEnd {
  Function function;
  ~AtEnd() { function(); }
};
template <typename Function>
AtEnd(Function) -> AtEnd<Function>;

std::optional<KeyBytes> from_hex(std::string_view digits) {
  if (digits.size() != 2 * kKeyBytes) return std::nullopt;
  KeyBytes bytes{};
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const char digit = digits[i];
    const int value = digit >= '0' && digit <= '9'   ? digit - '0'
                      : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                      : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                                     : -1;
    if (value < 0) return std::nullopt;
    bytes[i / 2] = static_cast<std::uint8_t>(bytes[i / 2] << 4 | value);
  }
  return bytes;
}

void append_hex(std::string& text, std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
}

/// What is wrong with the digits behind a prefix.
std::string fault_of(std::string_view digits) {
  return digits.size() == 2 * kKeyBytes ? "has characters that are no hexadecimal digits"
                                        : fmt::format("has {} digits instead of {}: it is cut off or damaged",
                                                      digits.size(), 2 * kKeyBytes);
}

struct Line {
  std::size_t number = 0;
  std::string_view word;  // the first; what is behind it is a comment
};

/// The lines of a file of keys that say something.
std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
    if (!line.empty() && line.front() != '#') {
      lines.push_back({number, line.substr(0, line.find_first_of(" \t\r"))});
    }
  }
  return lines;
}

Result<std::vector<std::byte>> read_keys(const std::filesystem::path& path) {
  DISCO_TRY(const std::uint64_t size, size_of_file(path));
  if (size > kMostBytes) {
    return error(ErrorCode::InvalidArgument, "{}: {} bytes; this is no file of keys", path.string(), size);
  }
  return read_file(path);
}

std::string_view view_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Status check_encryption() {
  if (zmq_has("curve") == 1) return {};
  return error(ErrorCode::Unsupported,
               "this libzmq was built without CURVE, so nothing can be encrypted; install one that was built "
               "with libsodium, as Debian's libzmq5 is");
}

PublicKey::PublicKey(std::span<const std::uint8_t, kKeyBytes> bytes) {
  std::copy(bytes.begin(), bytes.end(), bytes_.begin());
}

Result<PublicKey> PublicKey::parse(std::string_view text) {
  if (text.starts_with(kSecretPrefix)) {
    return error(ErrorCode::InvalidArgument,
                 "a secret key where a public key belongs; keep it to yourself, and take what begins with {}",
                 kPublicPrefix);
  }
  if (!text.starts_with(kPublicPrefix)) {
    return error(ErrorCode::InvalidArgument,
                 "not a public key; it begins with {}, as `disco keys new` prints it", kPublicPrefix);
  }
  const std::string_view digits = text.substr(kPublicPrefix.size());
  const auto bytes = from_hex(digits);
  if (!bytes) return error(ErrorCode::InvalidArgument, "a public key that {}", fault_of(digits));
  return PublicKey(*bytes);
}

std::string PublicKey::text() const {
  std::string text(kPublicPrefix);
  append_hex(text, bytes_);
  return text;
}

KeyPair::~KeyPair() { wipe(secret_); }

Result<KeyPair::Shared> KeyPair::make() {
  DISCO_CHECK(check_encryption());
  std::array<char, kZ85Chars> public_text{};
  std::array<char, kZ85Chars> secret_text{};
  const AtEnd clean{[&] { wipe(secret_text); }};
  const std::shared_ptr<KeyPair> pair(new KeyPair);
  KeyBytes public_bytes{};
  if (zmq_curve_keypair(public_text.data(), secret_text.data()) != 0 ||
      zmq_z85_decode(pair->secret_.data(), secret_text.data()) == nullptr ||
      zmq_z85_decode(public_bytes.data(), public_text.data()) == nullptr) {
    return error(ErrorCode::Io, "cannot make a key pair: {}", zmq_strerror(zmq_errno()));
  }
  pair->public_ = PublicKey(public_bytes);
  return Shared(pair);
}

Result<KeyPair::Shared> KeyPair::from_secret(std::span<const std::uint8_t, kKeyBytes> secret) {
  DISCO_CHECK(check_encryption());
  std::array<char, kZ85Chars> public_text{};
  std::array<char, kZ85Chars> secret_text{};
  const AtEnd clean{[&] { wipe(secret_text); }};
  const std::shared_ptr<KeyPair> pair(new KeyPair);
  std::copy(secret.begin(), secret.end(), pair->secret_.begin());
  KeyBytes public_bytes{};
  if (zmq_z85_encode(secret_text.data(), secret.data(), secret.size()) == nullptr ||
      zmq_curve_public(public_text.data(), secret_text.data()) != 0 ||
      zmq_z85_decode(public_bytes.data(), public_text.data()) == nullptr) {
    return error(ErrorCode::Io, "cannot use a secret key: {}", zmq_strerror(zmq_errno()));
  }
  pair->public_ = PublicKey(public_bytes);
  return Shared(pair);
}

Result<KeyPair::Shared> KeyPair::load(const std::filesystem::path& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 077) != 0) {
    return error(ErrorCode::Io,
                 "{}: others may read or write this secret key (its mode is {:04o}); run: chmod 600 {}, and "
                 "make a new one if they may have read it",
                 path.string(), status.st_mode & 07777, path.string());
  }
  DISCO_TRY(std::vector<std::byte> bytes, read_keys(path));
  const AtEnd clean{[&] { wipe(bytes); }};
  std::optional<Line> secret;
  std::optional<PublicKey> told;
  for (const Line& line : lines_of(view_of(bytes))) {
    const auto at_line = [&](std::string_view what) {
      return error(ErrorCode::InvalidArgument, "{}:{}: {}", path.string(), line.number, what);
    };
    if (line.word.starts_with(kSecretPrefix) && !secret) {
      secret = line;
    } else if (line.word.starts_with(kPublicPrefix) && !told) {
      const auto key = PublicKey::parse(line.word);
      if (!key) return at_line(key.error().message);
      told = *key;
    } else {
      return at_line("this is no file of a secret key; `disco keys new` makes one");
    }
  }
  if (!secret) {
    return error(ErrorCode::InvalidArgument, "{}:1: no secret key is in it{}", path.string(),
                 told ? ", only a public one; the secret one is in the file without .pub"
                      : "; `disco keys new` makes one");
  }
  const std::string_view digits = secret->word.substr(kSecretPrefix.size());
  auto key = from_hex(digits);
  if (!key) {
    return error(ErrorCode::InvalidArgument, "{}:{}: a secret key that {}", path.string(), secret->number,
                 fault_of(digits));
  }
  const AtEnd clean_key{[&] { wipe(*key); }};
  DISCO_TRY(Shared pair, from_secret(*key));
  if (told && *told != pair->public_key()) {
    return error(ErrorCode::InvalidArgument,
                 "{}:{}: the secret key does not fit the public key in the same file: it is damaged",
                 path.string(), secret->number);
  }
  return pair;
}

std::filesystem::path KeyPair::public_file(const std::filesystem::path& path) {
  std::filesystem::path file = path;
  file += ".pub";
  return file;
}

Status KeyPair::save(const std::filesystem::path& path, bool replace) const {
  const std::filesystem::path shown = public_file(path);
  for (const auto& file : {path, shown}) {
    std::error_code failure;
    if (!replace && std::filesystem::exists(std::filesystem::symlink_status(file, failure))) {
      return error(
          ErrorCode::Io,
          "{}: is there already; a key that is replaced is lost. Choose another name, or say --force",
          file.string());
    }
  }
  std::string text;
  text.reserve(512);  // so that no copy of the secret is left where it grew
  const AtEnd clean{[&] { wipe(text); }};
  text += "# The secret key of a DISCO node or coordinator: keep it on this machine, readable to you only.\n";
  text += kSecretPrefix;
  append_hex(text, secret_);
  text += '\n';
  text += public_.text();
  text += '\n';
  DISCO_CHECK(check_writable(shown));
  DISCO_CHECK(write_file(path, std::as_bytes(std::span(text)), 0600));
  const std::string line = fmt::format("{} {}\n", public_.text(), path.filename().string());
  return write_file(shown, std::as_bytes(std::span(line)));
}

Result<std::vector<PublicKey>> load_authorised(const std::filesystem::path& path) {
  DISCO_TRY(std::vector<std::byte> bytes, read_keys(path));
  const AtEnd clean{[&] { wipe(bytes); }};  // somebody may have put a secret in it
  std::vector<PublicKey> keys;
  for (const Line& line : lines_of(view_of(bytes))) {
    const auto key = PublicKey::parse(line.word);
    if (!key) {
      return error(ErrorCode::InvalidArgument, "{}:{}: {}", path.string(), line.number, key.error().message);
    }
    keys.push_back(*key);
  }
  if (keys.empty()) {
    return error(ErrorCode::InvalidArgument,
                 "{}:1: no public key is in it, so nobody could come in; write one a line", path.string());
  }
  return keys;
}

}  // namespace disco
