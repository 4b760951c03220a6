#include "help.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "base/result.h"

namespace disco::cli {

namespace {

constexpr std::size_t kWidth = 100;

/// Appends words to a text that is at column `at`, in lines of at most kWidth that begin at `indent`.
void wrap(std::string& text, const std::string& words, std::size_t at, std::size_t indent) {
  for (std::size_t from = 0; from < words.size();) {
    const std::size_t end = std::min(words.size(), words.find_first_of(" \n", from));
    const std::string word = words.substr(from, end - from);
    if (at > indent && at + 1 + word.size() > kWidth) {
      text += '\n' + std::string(indent, ' ');
      at = indent;
    }
    if (at > indent) text += ' ';
    at += word.size() + (at > indent ? 1 : 0);
    text += word;
    from = end + 1;
  }
}

/// Two columns: the left one as it is, the right one wrapped and indented.
std::string two_columns(const std::string& left, const std::string& right, std::size_t indent) {
  std::string text = "  " + left;
  if (text.size() + 2 > indent) {
    text += '\n' + std::string(indent, ' ');
  } else {
    text.resize(indent, ' ');
  }
  wrap(text, right, indent, indent);
  return text + '\n';
}

/// Insertions, deletions, replacements and swaps of neighbours that make one word of the other.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      const std::size_t replaced = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string suggestion(const std::string& word, const std::vector<std::string>& known) {
  const std::string near = nearest(word, known);
  return near.empty() ? "" : fmt::format("; did you mean '{}'?", near);
}

}  // namespace

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  std::string line = "\nUsage: " + name;
  for (const CLI::Option* option : app->get_options()) {
    if (option->get_positional()) line += " " + option->get_name(true);
  }
  if (!app->get_subcommands({}).empty()) line += " COMMAND";
  for (const CLI::Option* option : app->get_options()) {
    if (option->get_required() && !option->get_positional())
      line += fmt::format(" {} {}", option->get_name(), option->get_type_name());
  }
  return line + " [FLAGS]\n";
}

std::string HelpFormatter::make_description(const CLI::App* app) const {
  const std::string about = app->get_description();
  const std::size_t line = about.find('\n');
  std::string text = about.substr(0, line) + '\n';
  if (line == std::string::npos) return text;
  wrap(text, about.substr(line + 1), 0, 0);
  return text + '\n';
}

std::string HelpFormatter::make_footer(const CLI::App* app) const {
  std::string text = app->get_footer();
  while (text.ends_with('\n')) text.pop_back();
  return text.empty() ? "" : text + '\n';
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  const std::string text = command->get_description();
  return two_columns(command->get_name(), text.substr(0, text.find('\n')), 14);
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  std::string left = is_positional ? option->get_name(true) : option->get_name(false, true);
  // CLI11 writes a flag that negates as "--totals{false}".
  if (const std::size_t brace = left.find('{'); brace != std::string::npos) left.resize(brace);
  std::replace(left.begin(), left.end(), ',', ' ');
  if (!is_positional && option->get_items_expected_max() > 0) {
    // CLI11 appends what checks the value ("T:INT in [1 - 1024]"); the description says it in words.
    const std::string type = option->get_type_name();
    std::size_t end = type.size();
    for (const char* check : {":INT in", ":UINT in", ":FLOAT in", ":{", ":POSITIVE", ":NONNEGATIVE"})
      end = std::min(end, type.find(check));
    left += " " + type.substr(0, end);
  }
  std::string right = option->get_description();
  if (const std::string given = option->get_default_str(); !given.empty())
    right += " (default: " + given + ")";
  return two_columns(left, right, get_column_width());
}

std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const bool begins = word.size() >= 3 && candidate.starts_with(word);
    const std::size_t cost = begins ? 0 : distance(word, candidate);
    if (cost < least && cost < candidate.size()) {
      least = cost;
      best = candidate;
    }
  }
  return best;
}

std::string unknown_command(const CLI::App& app, const std::string& word) {
  if (word.empty() || word[0] == '-') return "";
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands({})) commands.push_back(command->get_name());
  if (std::find(commands.begin(), commands.end(), word) != commands.end()) return "";
  return fmt::format("there is no command '{}'{} The commands are {}; see disco --help", as_one_line(word),
                     nearest(word, commands).empty() ? "." : suggestion(word, commands),
                     fmt::join(commands, ", "));
}

std::string explain(const CLI::App& app, const CLI::ParseError& problem) {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  if (parsed.empty()) {
    const std::vector<std::string> left = app.remaining();
    if (!left.empty())
      return fmt::format("there is no flag '{}'; see disco --help", as_one_line(left.front()));
    if (dynamic_cast<const CLI::RequiredError*>(&problem) != nullptr)
      return "which command? Try `disco run`, or see disco --help";
    return fmt::format("{}; see disco --help", as_one_line(problem.what()));
  }
  const CLI::App& command = *parsed.front();
  const std::string see = fmt::format("see disco {} --help", command.get_name());
  if (dynamic_cast<const CLI::ExtrasError*>(&problem) != nullptr) {
    const std::vector<std::string> left = command.remaining();
    const auto flag =
        std::find_if(left.begin(), left.end(), [](const auto& word) { return word.starts_with("-"); });
    if (flag == left.end()) {
      return fmt::format("{}: '{}' is one word too many; {}", command.get_name(),
                         left.empty() ? "" : as_one_line(left.front()), see);
    }
    std::vector<std::string> known;
    for (const CLI::Option* option : command.get_options()) {
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
    const std::string name = flag->substr(0, flag->find('='));
    return fmt::format("{} has no flag '{}'{}{} {}", command.get_name(), as_one_line(name),
                       suggestion(name, known), nearest(name, known).empty() ? ";" : "", see);
  }
  return fmt::format("{}: {}; {}", command.get_name(), as_one_line(problem.what()), see);
}

}  // namespace disco::cli
