#include "data/npz.h"

#include <zip.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"

namespace disco {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMostHeader = 1 << 16;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 36;

struct TypeCode {
  DataType type;
  const char* code;
};
constexpr TypeCode kCodes[] = {
    {DataType::Float32, "<f4"}, {DataType::Float64, "<f8"}, {DataType::Float16, "<f2"},
    {DataType::Int8, "|i1"},    {DataType::UInt8, "|u1"},   {DataType::Int16, "<i2"},
    {DataType::UInt16, "<u2"},  {DataType::Int32, "<i4"},   {DataType::UInt32, "<u4"},
    {DataType::Int64, "<i8"},   {DataType::UInt64, "<u8"},  {DataType::Bool, "|b1"}};

Error bad(const std::string& where, std::string_view fault) {
  return error(ErrorCode::InvalidArgument, "{}: {}; is it a NumPy file?", as_one_line(where),
               as_one_line(fault));
}

/// The text after `'key':` in the header's dictionary.
Result<std::string_view> field(std::string_view header, std::string_view key, const std::string& where) {
  const std::size_t at = header.find(fmt::format("'{}'", key));
  const std::size_t colon = at == std::string_view::npos ? at : header.find(':', at);
  const std::size_t value =
      colon == std::string_view::npos ? colon : header.find_first_not_of(' ', colon + 1);
  if (value == std::string_view::npos) return bad(where, fmt::format("its header has no '{}'", key));
  return header.substr(value);
}

/// An element type as NumPy writes it, such as '<f4'.
struct ElementCode {
  DataType type = DataType::Undefined;
  bool swapped = false;  ///< big-endian
};

Result<ElementCode> parse_descr(std::string_view descr, const std::string& where) {
  const std::size_t end = descr.empty() || descr[0] != '\'' ? std::string_view::npos : descr.find('\'', 1);
  const std::string_view text = end == std::string_view::npos ? "" : descr.substr(1, end - 1);
  for (const TypeCode& known : kCodes) {
    const std::string_view code = known.code;
    if (text.size() != code.size() || text.substr(1) != code.substr(1)) continue;
    const char order = text[0];
    if (order == code[0] || order == '>' || code[0] == '|') return ElementCode{known.type, order == '>'};
  }
  return bad(where,
             fmt::format("elements of type {} are not supported", text.empty() ? descr.substr(0, 40) : text));
}

/// A tuple such as (3, 4), (3,) or ().
Result<Shape> parse_shape(std::string_view text, const std::string& where) {
  const auto impossible = [&] { return bad(where, "its shape cannot be"); };
  const std::size_t end = text.find(')');
  if (text.empty() || text[0] != '(' || end == std::string_view::npos) return impossible();
  const std::string extents(text.substr(1, end - 1));
  const char* at = extents.c_str();
  Shape shape;
  std::uint64_t elements = 1;
  while (*at != '\0') {
    char* after = nullptr;
    const long long extent = std::strtoll(at, &after, 10);
    if (after == at || extent < 0 || shape.size() >= 32) return impossible();
    if (extent > 0 && elements > kMostBytes / static_cast<std::uint64_t>(extent)) return impossible();
    elements *= static_cast<std::uint64_t>(extent);
    shape.push_back(extent);
    after += std::strspn(after, "L ");  // Python 2 wrote 3L
    if (*after != ',' && *after != '\0') return impossible();
    at = after + std::strspn(after, ", ");
  }
  return shape;
}

/// Elements in the order of this machine, and bools that are 0 or 1.
void tidy(Tensor& tensor, bool swapped) {
  const std::size_t width = size_of(tensor.type());
  for (std::size_t at = 0; swapped && at < tensor.bytes(); at += width)
    std::reverse(tensor.raw() + at, tensor.raw() + at + width);
  if (tensor.type() != DataType::Bool) return;
  for (std::size_t at = 0; at < tensor.bytes(); ++at)
    tensor.raw()[at] = std::byte{tensor.raw()[at] != std::byte{0}};
}

Result<Tensor> parse_npy(std::span<const std::byte> bytes, const std::string& where) {
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  if (bytes.size() < 10 || std::string_view(text, 6) != kMagic)
    return bad(where, "the magic bytes are missing");
  const int major = static_cast<unsigned char>(text[6]);
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  if (major < 1 || major > 3 || bytes.size() < 8 + length_bytes)
    return bad(where, fmt::format("version {} of the format", major));
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    length |= static_cast<std::size_t>(static_cast<unsigned char>(text[8 + i])) << (8 * i);
  const std::size_t start = 8 + length_bytes + length;
  if (length > kMostHeader || start > bytes.size()) return bad(where, "its header is cut off");
  const std::string_view header(text + 8 + length_bytes, length);

  DISCO_TRY(const std::string_view descr, field(header, "descr", where));
  DISCO_TRY(const std::string_view order, field(header, "fortran_order", where));
  DISCO_TRY(const std::string_view extents, field(header, "shape", where));
  DISCO_TRY(const ElementCode code, parse_descr(descr, where));
  DISCO_TRY(const Shape shape, parse_shape(extents, where));
  const DataType type = code.type;
  const bool fortran = order.starts_with("True");
  const auto elements = static_cast<std::size_t>(element_count(shape));
  if (bytes.size() - start != elements * size_of(type)) {
    return bad(where, fmt::format("{} bytes of elements where {} {} need {}", bytes.size() - start,
                                  to_string(type), to_string(shape), elements * size_of(type)));
  }
  Tensor tensor(type, shape);
  if (!fortran || shape.size() < 2) {
    if (tensor.bytes() > 0) std::memcpy(tensor.raw(), bytes.data() + start, tensor.bytes());
    tidy(tensor, code.swapped);
    return tensor;
  }
  const std::size_t width = size_of(type);
  std::vector<std::int64_t> index(shape.size(), 0);
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    std::int64_t from = 0;
    for (std::size_t d = shape.size(); d-- > 0;) from = from * shape[d] + index[d];
    std::memcpy(tensor.raw() + static_cast<std::size_t>(i) * width,
                bytes.data() + start + static_cast<std::size_t>(from) * width, width);
    for (std::size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d]) break;
      index[d] = 0;
    }
  }
  tidy(tensor, code.swapped);
  return tensor;
}

Result<std::vector<std::byte>> serialise_npy(const Tensor& tensor, const std::string& where) {
  const char* code = nullptr;
  for (const TypeCode& known : kCodes) {
    if (known.type == tensor.type()) code = known.code;
  }
  if (code == nullptr)
    return error(ErrorCode::Unsupported, "{}: NumPy has no {}", where, to_string(tensor.type()));
  std::string shape;
  for (const std::int64_t extent : tensor.shape()) shape += fmt::format("{},", extent);
  if (tensor.rank() > 1) shape.pop_back();
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", code, shape);
  const std::size_t total = (10 + header.size() + 1 + 63) / 64 * 64;  // elements start aligned
  header.append(total - 10 - header.size() - 1, ' ');
  header += '\n';
  std::string start(kMagic);
  start += '\x01';
  start += '\x00';
  start += static_cast<char>(header.size() & 0xFFU);
  start += static_cast<char>(header.size() >> 8U);
  start += header;
  std::vector<std::byte> bytes(start.size() + tensor.bytes());
  std::memcpy(bytes.data(), start.data(), start.size());
  if (tensor.bytes() > 0) std::memcpy(bytes.data() + start.size(), tensor.raw(), tensor.bytes());
  return bytes;
}

struct FreeSource {
  void operator()(zip_source_t* source) const { zip_source_free(source); }
};
struct CloseZip {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseEntry {
  void operator()(zip_file_t* entry) const { zip_fclose(entry); }
};

}  // namespace

Result<Tensor> read_npy(const std::filesystem::path& path) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(path));
  return parse_npy(bytes, path.string());
}

Status write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  DISCO_TRY(const std::vector<std::byte> bytes, serialise_npy(tensor, path.string()));
  return write_file(path, bytes);
}

Result<NamedTensors> read_npz(const std::filesystem::path& path) {
  DISCO_TRY(const std::uint64_t file_size, size_of_file(path));  // tells a missing file from a broken one
  int code = 0;
  const std::unique_ptr<zip_t, CloseZip> archive(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (!archive) return bad(path.string(), "not a readable zip archive");
  NamedTensors tensors;
  const zip_int64_t entries = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < entries; ++i) {
    zip_stat_t stat;
    if (zip_stat_index(archive.get(), static_cast<zip_uint64_t>(i), 0, &stat) != 0 || stat.name == nullptr)
      return bad(path.string(), "an entry cannot be read");
    std::string name = stat.name;
    const std::string where = fmt::format("{}: '{}'", path.string(), name);
    // Deflate shrinks by 1032 at most: a size beyond that is a lie, and would be asked of the memory.
    if (stat.comp_size > file_size || stat.size > kMostBytes || stat.size > (stat.comp_size + 1) * 1040)
      return bad(where, "its size cannot be");
    const std::unique_ptr<zip_file_t, CloseEntry> entry(
        zip_fopen_index(archive.get(), static_cast<zip_uint64_t>(i), 0));
    std::vector<std::byte> bytes(stat.size);
    // Only a read that meets the end compares the checksum.
    std::byte beyond{};
    if (!entry ||
        zip_fread(entry.get(), bytes.data(), bytes.size()) != static_cast<zip_int64_t>(bytes.size()) ||
        zip_fread(entry.get(), &beyond, 1) != 0)
      return bad(where, "is cut off or damaged");
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    DISCO_TRY(Tensor tensor, parse_npy(bytes, where));
    if (!tensors.emplace(name, std::move(tensor)).second) return bad(where, "is there twice");
  }
  return tensors;
}

Status write_npz(const std::filesystem::path& path, const NamedTensors& tensors) {
  if (tensors.empty()) return error(ErrorCode::InvalidArgument, "{}: no array to write", path.string());
  const auto failed = [&](const char* what) {
    return error(ErrorCode::Io, "{}: cannot make the archive: {}", path.string(), what);
  };
  // In memory first: the file is then written as all others are, whole or not at all.
  const std::unique_ptr<zip_source_t, FreeSource> memory(zip_source_buffer_create(nullptr, 0, 0, nullptr));
  if (!memory) return failed("no memory");
  zip_source_keep(memory.get());  // the archive frees one reference when it is closed
  std::unique_ptr<zip_t, CloseZip> archive(zip_open_from_source(memory.get(), ZIP_TRUNCATE, nullptr));
  if (!archive) {
    zip_source_free(memory.get());
    return failed("it cannot be opened");
  }
  std::vector<std::vector<std::byte>> held;  // libzip reads them when it closes
  for (const auto& [name, tensor] : tensors) {
    DISCO_TRY(std::vector<std::byte> bytes, serialise_npy(tensor, path.string()));
    held.push_back(std::move(bytes));
    zip_source_t* source = zip_source_buffer(archive.get(), held.back().data(), held.back().size(), 0);
    const zip_int64_t index =
        source == nullptr ? -1
                          : zip_file_add(archive.get(), (name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(source);
      return error(ErrorCode::Io, "{}: '{}' cannot be added", path.string(), name);
    }
    const auto entry = static_cast<zip_uint64_t>(index);
    zip_set_file_compression(archive.get(), entry, ZIP_CM_STORE, 0);
    zip_file_set_dostime(archive.get(), entry, 0, (1U << 5U) | 1U,
                         0);  // 1980-01-01: equal arrays, equal bytes
  }
  if (zip_close(archive.get()) != 0) return failed(zip_strerror(archive.get()));
  static_cast<void>(archive.release());
  held.clear();

  DISCO_TRY(FileWriter writer, FileWriter::create(path));
  if (zip_source_open(memory.get()) != 0) return failed("it cannot be read back");
  std::vector<std::byte> chunk(std::size_t{1} << 20);
  while (true) {
    const zip_int64_t count = zip_source_read(memory.get(), chunk.data(), chunk.size());
    if (count < 0) return failed("it cannot be read back");
    if (count == 0) break;
    DISCO_CHECK(writer.append(std::span(chunk).first(static_cast<std::size_t>(count))));
  }
  zip_source_close(memory.get());
  return writer.commit();
}

}  // namespace disco
