#pragma once
// docs/operators.md as data: the page is the contract that the tests hold the code to.

#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <vector>

namespace disco::testing {

/// One row of the tables of claimed operators.
struct ClaimedOperator {
  std::string opsets;  ///< "6–24"
  std::string
      beside;  ///< how it is split when the sharded axis is none that it works along; "—" where there is none
  std::string along;  ///< how, when it is one
  std::string limits;
};

struct OperatorsPage {
  std::map<std::string, ClaimedOperator> claimed;
  std::map<std::string, std::string> refused;  ///< operators that are not claimed, and why
};

/// Reads rows "| `Op`, `Op` | … |": of five cells below "## Claimed", of two below "## Not claimed".
inline OperatorsPage read_operators_page(const std::string& source_folder) {
  OperatorsPage page;
  std::ifstream file(source_folder + "/docs/operators.md");
  static const std::regex name("`([A-Za-z0-9.]+)`");
  bool refused = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) refused = line == "## Not claimed";
    if (!line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    for (std::size_t at = 1; at < line.size();) {
      const std::size_t end = line.find(" |", at);
      if (end == std::string::npos) break;
      cells.push_back(line.substr(at + 1, end - at - 1));
      at = end + 2;
    }
    for (std::sregex_iterator found(cells[0].begin(), cells[0].end(), name), last; found != last; ++found) {
      if (refused) {
        page.refused[(*found)[1]] = cells.at(1);
      } else {
        page.claimed[(*found)[1]] = {cells.at(1), cells.at(2), cells.at(3), cells.at(4)};
      }
    }
  }
  return page;
}

}  // namespace disco::testing
