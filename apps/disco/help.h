#pragma once
// What the command line says about itself: --help, and what to do about a mistyped word.

#include <CLI/CLI.hpp>
#include <string>

namespace disco::cli {

/// Help of at most 100 columns: flags as they are typed, what they do, and their defaults behind that. A
/// command's description is one line for the list of commands, and then text that is wrapped here.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(28); }
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_description(const CLI::App* app) const override;
  std::string make_footer(const CLI::App* app) const override;
  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
};

/// The word of `known` that `word` was probably meant to be; empty where none is near.
[[nodiscard]] std::string nearest(const std::string& word, const std::vector<std::string>& known);

/// "there is no command 'insepct'; did you mean 'inspect'? …": the line for a first word that is no command;
/// empty where it is one, or a flag.
[[nodiscard]] std::string unknown_command(const CLI::App& app, const std::string& word);

/// One line for what could not be parsed.
[[nodiscard]] std::string explain(const CLI::App& app, const CLI::ParseError& problem);

}  // namespace disco::cli
