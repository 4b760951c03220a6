#include "data/classification.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>
#include <string_view>

#include "base/file.h"

namespace disco {

namespace {

/// file TAB class TAB name
struct Row {
  std::string_view file;
  std::int64_t index = 0;
  std::string_view name;
};

std::optional<Row> parse_row(std::string_view line) {
  const std::size_t first = line.find('\t');
  const std::size_t second = first == std::string_view::npos ? first : line.find('\t', first + 1);
  if (first == 0 || second == std::string_view::npos) return {};
  Row row{line.substr(0, first), 0, line.substr(second + 1)};
  const char* end = line.data() + second;
  const auto [stop, fault] = std::from_chars(line.data() + first + 1, end, row.index);
  // A label file of more classes than this is a mistake, and would be asked of the memory.
  if (fault != std::errc() || stop != end || row.index < 0 || row.index > 10'000'000) return {};
  return row;
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

}  // namespace

Result<Labels> load_labels(const std::filesystem::path& path) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(path));
  const std::vector<std::string_view> lines =
      split_lines({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (lines.empty()) return error(ErrorCode::InvalidArgument, "{}: no label in it", path.string());
  Labels labels;
  if (!parse_row(lines.front())) {
    labels.names.assign(lines.begin(), lines.end());
    return labels;
  }
  for (std::size_t l = 0; l < lines.size(); ++l) {
    const auto bad = [&](std::string_view fault) {
      return error(ErrorCode::InvalidArgument, "{}:{}: {}", path.string(), l + 1, fault);
    };
    const std::optional<Row> row = parse_row(lines[l]);
    if (!row) return bad("not FILE, CLASS and NAME with tabs between them, as in the first line");
    const auto index = static_cast<std::size_t>(row->index);
    if (labels.names.size() <= index) labels.names.resize(index + 1);
    if (labels.names[index].empty()) labels.names[index] = row->name;
    if (labels.names[index] != row->name)
      return bad(fmt::format("class {} has another name further up: {}", index, labels.names[index]));
    if (!labels.files.emplace(row->file, row->index).second)
      return bad(fmt::format("the file {} is there twice", row->file));
  }
  return labels;
}

Status check_labels(const Labels& labels, std::int64_t classes, const std::filesystem::path& path) {
  const auto names = static_cast<std::int64_t>(labels.names.size());
  if (labels.files.empty() && names != classes) {
    return error(ErrorCode::InvalidArgument,
                 "{}: {} names for {} classes; give one line a class, class 0 first", path.string(), names,
                 classes);
  }
  if (names > classes) {
    return error(ErrorCode::InvalidArgument, "{}: names a class {}, but the model has classes 0 to {}",
                 path.string(), names - 1, classes - 1);
  }
  return {};
}

std::vector<ClassScore> top_classes(std::span<const double> scores, std::size_t count) {
  std::vector<std::int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const auto better = [&](std::int64_t a, std::int64_t b) {
    const double x = scores[static_cast<std::size_t>(a)];
    const double y = scores[static_cast<std::size_t>(b)];
    if (std::isnan(x) != std::isnan(y)) return std::isnan(y);
    return x > y || (!(x < y) && a < b);
  };
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(std::min(count, scores.size()));
  std::partial_sort(order.begin(), middle, order.end(), better);
  std::vector<ClassScore> best;
  for (auto at = order.begin(); at != middle; ++at)
    best.push_back({*at, scores[static_cast<std::size_t>(*at)]});
  return best;
}

}  // namespace disco
