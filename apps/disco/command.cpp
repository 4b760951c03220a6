#include "command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cstdio>

#include "graph/onnx.h"

namespace disco::cli {

void SplitFlags::add_to(CLI::App& command) {
  command.add_option("model", model, "an ONNX file, or an artifact of `disco partition`")->required();
  command
      .add_option("-n,--nodes", nodes,
                  "over how many nodes, 1 to 64; an artifact over another number than it was made for sends "
                  "everything (default: what the artifact says, else 1)")
      ->check(CLI::Range(1, kMostNodes))
      ->type_name("N");
  command
      .add_option("--shares", shares,
                  "how much of every layer each node takes, on any scale, such as 3,1 (default: equal)")
      ->type_name("A,B");
  command
      .add_option("--shape", shapes,
                  "extents of an input that the model leaves open, or other ones than it has, such as "
                  "input:1,3,64,64; may be repeated")
      ->allow_extra_args(false)
      ->type_name("NAME:EXTENTS");
  command
      .add_option(
          "--bands", bands,
          "compute and send feature maps in so many bands of rows, the first of which travel while the "
          "others are computed; the answer is the same (default: what the artifact says, else 1)")
      ->check(CLI::Range(1, kMostChosenBands))
      ->type_name("K");
}

Result<std::vector<double>> SplitFlags::parsed_shares() const {
  std::vector<double> result;
  const char* at = shares.c_str();
  while (!shares.empty()) {
    char* end = nullptr;
    result.push_back(std::strtod(at, &end));
    if (end == at || (*end != ',' && *end != '\0')) {
      return error(ErrorCode::InvalidArgument, "--shares {}: give one positive number a node, such as 3,1",
                   shares);
    }
    if (*end == '\0') break;
    at = end + 1;
  }
  return result;
}

Result<InputShapes> SplitFlags::parsed_shapes() const {
  InputShapes result;
  for (const std::string& text : shapes) {
    const std::size_t colon = text.rfind(':');
    const auto bad = [&] {
      return error(ErrorCode::InvalidArgument,
                   "--shape {}: write NAME:EXTENT,EXTENT,… such as input:1,3,64,64", text);
    };
    if (colon == std::string::npos || colon == 0) return bad();
    Shape shape;
    const char* at = text.c_str() + colon + 1;
    while (colon + 1 < text.size()) {
      char* end = nullptr;
      const long long extent = std::strtoll(at, &end, 10);
      if (end == at || (*end != ',' && *end != '\0') || extent < 1) return bad();
      shape.push_back(extent);
      if (*end == '\0') break;
      at = end + 1;
    }
    result.shapes[text.substr(0, colon)] = shape;
  }
  return result;
}

void resize_inputs(Graph& model, const std::map<std::string, Shape>& shapes) {
  for (const ValueId id : model.inputs) {
    Value& value = model.value(id);
    const auto given = shapes.find(value.name);
    if (given == shapes.end() || !value.dims || value.dims->size() != given->second.size()) continue;
    for (std::size_t axis = 0; axis < value.dims->size(); ++axis) {
      // Open extents stay open, by the symbol that other inputs may share.
      if ((*value.dims)[axis].known()) (*value.dims)[axis].extent = given->second[axis];
    }
  }
}

namespace {

/// "x:1,3,224,224": what --shape may say of the first input with an open extent behind the batch.
std::string example_shape(const Graph& model) {
  for (const ValueId id : model.inputs) {
    const Value& input = model.value(id);
    if (input.has_shape() || !input.dims || input.dims->empty()) continue;
    Shape shape;
    bool open = false;
    for (std::size_t i = 0; i < input.dims->size(); ++i) {
      const Dimension& dim = (*input.dims)[i];
      open = open || (i > 0 && !dim.known());
      shape.push_back(dim.known() ? dim.extent : i == 0 ? 1 : input.dims->size() == 4 ? 224 : 128);
    }
    if (open) return fmt::format("{}:{}", input.name, fmt::join(shape, ","));
  }
  return "NAME:1,3,224,224";
}

/// An artifact that sends little sends everything over other nodes than it was made for.
void note_other_split(const Graph& model, const Partition& used, const std::string& file) {
  if (!used.keep.empty() || used.nodes == 1) return;
  const auto made_for = stored_partition(model, 0);
  if (!made_for || !*made_for || (*made_for)->keep.empty()) return;
  fmt::print(stderr, "note: {} was made for {} nodes; split otherwise, as here, everything is exchanged\n",
             file, (*made_for)->nodes);
}

}  // namespace

Result<SplitModel> split(const Graph& model, const SplitFlags& flags,
                         const std::map<std::string, Shape>& given) {
  DISCO_TRY(const InputShapes shapes, flags.parsed_shapes());
  DISCO_TRY(std::vector<double> shares, flags.parsed_shares());
  SplitOptions options{flags.nodes, std::move(shares), shapes.shapes};
  options.bands = flags.bands;
  for (const auto& [name, shape] : given) options.shapes[name] = shape;
  Graph resized = model;
  resize_inputs(resized, shapes.shapes);
  auto result = split_model(resized, options);
  if (result) {
    note_other_split(model, result->partition, flags.model);
    return result;
  }
  Error problem = in_context(flags.model, result.error());
  // The library does not know how a shape is given here.
  if (problem.code == ErrorCode::ShapeMismatch && problem.message.ends_with("give its shape"))
    problem.message += ", such as --shape " + example_shape(resized);
  return problem;
}

void add_norm(CLI::App& command, std::string& norm) {
  command
      .add_option(
          "--norm", norm,
          "LayerNormalization with statistics of all channels (exact), or of each node's own (local), which "
          "sends none of them but computes something else")
      ->check(CLI::IsMember({"exact", "local"}))
      ->type_name("WHICH")
      ->capture_default_str();
}

Result<SplitModel> load_and_split(const SplitFlags& flags, const std::map<std::string, Shape>& given) {
  DISCO_TRY(const Graph model, load_onnx(flags.model));
  return split(model, flags, given);
}

void Table::print() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < rows_[r].size(); ++i) {
      line += i == 0 ? fmt::format("{:<{}}", rows_[r][i], widths[i])
                     : fmt::format("  {:>{}}", rows_[r][i], widths[i]);
    }
    fmt::print("{}\n", line);
    if (r == 0) fmt::print("{}\n", std::string(line.size(), '-'));
  }
}

namespace {

std::string scaled(double value, const char* unit) {
  const char* prefixes[] = {"", "k", "M", "G", "T", "P"};
  std::size_t p = 0;
  while (value >= 1000.0 && p + 1 < std::size(prefixes)) {
    value /= 1000.0;
    ++p;
  }
  return p == 0 ? fmt::format("{:.0f} {}", value, unit)
                : fmt::format("{:.2f} {}{}", value, prefixes[p], unit);
}

}  // namespace

std::string human_bytes(double bytes) { return scaled(bytes, "B"); }
std::string human_count(double count) { return scaled(count, ""); }

Progress::Progress(std::string what, std::size_t total)
    : what_(std::move(what)), total_(total), shown_(isatty(STDERR_FILENO) == 1 && total > 1) {}

void Progress::step(std::size_t done) {
  if (!shown_) return;
  constexpr std::size_t kWidth = 30;
  const std::size_t filled = std::min(kWidth, kWidth * done / total_);
  fmt::print(stderr, "\r{} [{}{}] {}/{}", what_, std::string(filled, '#'), std::string(kWidth - filled, ' '),
             done, total_);
  std::fflush(stderr);
}

Progress::~Progress() {
  if (shown_) fmt::print(stderr, "\r\033[K");
}

}  // namespace disco::cli
