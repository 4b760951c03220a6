#include "data/label_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace disco {

bool names_no_class(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalpha(byte) != 0) plain += static_cast<char>(std::tolower(byte));
  }
  constexpr std::array<std::string_view, 6> kNames = {"void",   "unlabelled", "unlabeled",
                                                      "ignore", "ignored",    "dontcare"};
  return std::find(kNames.begin(), kNames.end(), plain) != kNames.end();
}

}  // namespace disco
