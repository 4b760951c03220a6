#pragma once
// Names of classes that are none.

#include <string_view>

namespace disco {

/// Whether a data set's or a model's name for a label says that its pixels have no class: "void",
/// "unlabelled", "unlabeled", "ignore", "ignored" or "don't care"; case does not matter.
[[nodiscard]] bool names_no_class(std::string_view name);

}  // namespace disco
