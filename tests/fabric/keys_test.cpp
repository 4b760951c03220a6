// Keys and their files: what is written can be read, and everything else is one line that tells no secret.

#include "fabric/keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <random>

#include "base/file.h"

namespace disco::testing {
namespace {

namespace fs = std::filesystem;

class Keys : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const Status can = check_encryption(); !can) GTEST_SKIP() << can.error().message;
    std::string name = (fs::temp_directory_path() / "disco-keys-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    secret_ = folder_ / "node.key";
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }
  static std::string content(const fs::path& file) {
    const auto bytes = read_file(file);
    EXPECT_TRUE(bytes.ok());
    return {reinterpret_cast<const char*>(bytes->data()), bytes->size()};
  }
  static void put(const fs::path& file, const std::string& text) {
    std::ofstream(file) << text;
    chmod(file.c_str(), 0600);
  }
  static std::string digits_of(const KeyPair& pair) {
    std::string digits;
    for (const std::uint8_t byte : pair.secret()) digits += fmt::format("{:02x}", byte);
    return digits;
  }
  /// One line that names the file, and nothing of the secret.
  void expect_line(const Error& error, const std::string& says, const std::string& secret,
                   const std::string& what) const {
    EXPECT_TRUE(error.message.starts_with(folder_.string())) << what << ": " << error.message;
    EXPECT_NE(error.message.find(says), std::string::npos) << what << ": " << error.message;
    EXPECT_EQ(error.message.find('\n'), std::string::npos) << what << ": " << error.message;
    EXPECT_EQ(error.message.find(secret.substr(8, 16)), std::string::npos) << what << ": " << error.message;
  }

  fs::path folder_;
  fs::path secret_;
};

TEST_F(Keys, AreReadAsTheyWereWritten) {
  for (int turn = 0; turn < 20; ++turn) {
    const auto pair = KeyPair::make();
    ASSERT_TRUE(pair.ok()) << pair.error().message;
    ASSERT_TRUE((*pair)->save(secret_, true).ok());
    struct stat status = {};
    ASSERT_EQ(stat(secret_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
    const auto again = KeyPair::load(secret_);
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ((*again)->public_key(), (*pair)->public_key());
    EXPECT_TRUE(std::ranges::equal((*again)->secret(), (*pair)->secret()));
    const auto shown = load_authorised(KeyPair::public_file(secret_));
    ASSERT_TRUE(shown.ok()) << shown.error().message;
    EXPECT_EQ(*shown, std::vector<PublicKey>{(*pair)->public_key()});
    EXPECT_EQ(content(KeyPair::public_file(secret_)).find(digits_of(**pair)), std::string::npos);
    const auto parsed = PublicKey::parse((*pair)->public_key().text());
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, (*pair)->public_key());
  }
}

TEST_F(Keys, AreNeverOverwrittenByMistake) {
  const auto first = KeyPair::make();
  const auto second = KeyPair::make();
  ASSERT_TRUE(first.ok() && second.ok());
  ASSERT_NE((*first)->public_key(), (*second)->public_key());
  ASSERT_TRUE((*first)->save(secret_, false).ok());
  const std::string before = content(secret_);
  for (const fs::path& there : {secret_, KeyPair::public_file(secret_)}) {
    const Status status = (*second)->save(secret_, false);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::Io);
    expect_line(status.error(), "is there already", digits_of(**second), there.string());
    // Also where only the other of the two is left.
    if (there == secret_) {
      EXPECT_EQ(content(secret_), before);
    }
    fs::remove(there);
  }
  ASSERT_TRUE((*second)->save(secret_, false).ok());
}

TEST_F(Keys, OthersMustNotReadThem) {
  const auto pair = KeyPair::make();
  ASSERT_TRUE(pair.ok() && (*pair)->save(secret_, false).ok());
  for (const unsigned mode : {0640U, 0604U, 0620U, 0644U, 0666U, 0610U}) {
    ASSERT_EQ(chmod(secret_.c_str(), mode), 0);
    const auto loaded = KeyPair::load(secret_);
    ASSERT_FALSE(loaded.ok()) << mode;
    EXPECT_EQ(loaded.error().code, ErrorCode::Io);
    expect_line(loaded.error(), "chmod 600", digits_of(**pair), fmt::format("{:o}", mode));
  }
  ASSERT_EQ(chmod(secret_.c_str(), 0400), 0);
  EXPECT_TRUE(KeyPair::load(secret_).ok());
}

TEST_F(Keys, OfDamagedFilesAreOneLine) {
  const auto pair = KeyPair::make();
  ASSERT_TRUE(pair.ok() && (*pair)->save(secret_, false).ok());
  const std::string good = content(secret_);
  const std::string digits = digits_of(**pair);
  const std::string known = (*pair)->public_key().text();
  const std::string other = (*KeyPair::make())->public_key().text();
  struct Case {
    const char* what;
    std::string text;
    const char* says;
  };
  const Case cases[] = {
      {"empty", "", "no secret key is in it"},
      {"comments", "# nothing\n\n", "no secret key is in it"},
      {"the public file", known + " node.key\n", "only a public one"},
      {"cut off", "disco-secret-" + digits.substr(0, 60) + "\n", "60 digits instead of 64"},
      {"too long", "disco-secret-" + digits + "0\n", "65 digits instead of 64"},
      {"no digits", "disco-secret-" + std::string(64, 'g') + "\n", "no hexadecimal digits"},
      {"no prefix", digits + "\n", "no file of a secret key"},
      {"two", "disco-secret-" + digits + "\ndisco-secret-" + digits + "\n", "no file of a secret key"},
      {"another's", "disco-secret-" + digits + "\n" + other + "\n", "does not fit"},
      {"binary", std::string("\0\xff\x01\n\0", 5), "no file of a secret key"},
      {"large", std::string(5 << 20, 'x'), "no file of keys"},
  };
  for (const Case& item : cases) {
    put(secret_, item.text);
    const auto loaded = KeyPair::load(secret_);
    ASSERT_FALSE(loaded.ok()) << item.what;
    EXPECT_EQ(loaded.error().code, ErrorCode::InvalidArgument) << item.what;
    expect_line(loaded.error(), item.says, digits, item.what);
  }
  // Cut off anywhere and flipped anywhere: never another key.
  std::mt19937 random(3);
  for (std::size_t trial = 0; trial < good.size() * 2; ++trial) {
    std::string text = good;
    if (trial < good.size()) {
      text.resize(trial);
    } else {
      text[random() % text.size()] ^= static_cast<char>(1U << (random() % 8));
    }
    put(secret_, text);
    const auto loaded = KeyPair::load(secret_);
    if (loaded) {
      EXPECT_EQ((*loaded)->public_key().text(), known) << "trial=" << trial;
    } else {
      expect_line(loaded.error(), "", digits, fmt::format("trial={}", trial));
    }
  }
  EXPECT_EQ(KeyPair::load(folder_ / "none").error().code, ErrorCode::NotFound);
  EXPECT_EQ(KeyPair::load(folder_).error().code, ErrorCode::Io);
}

TEST_F(Keys, ListsHaveCommentsAndMistakesWithTheirPlace) {
  const std::string a = (*KeyPair::make())->public_key().text();
  const std::string b = (*KeyPair::make())->public_key().text();
  const auto secret = KeyPair::make();
  put(secret_, "# who may use this node\n\n" + a + " the laptop\r\n  \t" + b + "\tthe desk, for now\n#" + a);
  const auto keys = load_authorised(secret_);
  ASSERT_TRUE(keys.ok()) << keys.error().message;
  ASSERT_EQ(keys->size(), 2U);
  EXPECT_EQ((*keys)[0].text(), a);
  EXPECT_EQ((*keys)[1].text(), b);
  struct Case {
    std::string text;
    int line;
    const char* says;
  };
  const Case cases[] = {
      {"", 1, "nobody could come in"},
      {"\n# " + a + "\n", 1, "nobody could come in"},
      {a + "\nlaptop " + b + "\n", 2, "not a public key"},
      {a + "\n\n" + b.substr(0, 70) + "\n", 3, "57 digits instead of 64"},
      {"disco-secret-" + digits_of(**secret) + "\n", 1, "a secret key where a public key belongs"},
  };
  for (const Case& item : cases) {
    put(secret_, item.text);
    const auto loaded = load_authorised(secret_);
    ASSERT_FALSE(loaded.ok()) << item.text;
    EXPECT_EQ(loaded.error().code, ErrorCode::InvalidArgument) << item.text;
    expect_line(loaded.error(), fmt::format(":{}: ", item.line), digits_of(**secret), item.text);
    expect_line(loaded.error(), item.says, digits_of(**secret), item.text);
  }
}

}  // namespace
}  // namespace disco::testing
