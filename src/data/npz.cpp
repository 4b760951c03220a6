#include "data/npz.h"

#include <zip.h>

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
  return error(ErrorCode::InvalidArgument, "{}: {}; is it a NumPy file?", where, fault);
}

/// The text after `'key':` in the header's dictionary.
Result<std::string> field(const std::string& header, std::string_view key, const std::string& where) {
  const std::size_t at = header.find(fmt::format("'{}'", key));
  const std::size_t colon = at == std::string::npos ? at : header.find(':', at);
  if (colon == std::string::npos) return bad(where, fmt::format("its header has no '{}'", key));
  return header.substr(header.find_first_not_of(' ', colon + 1) == std::string::npos
                           ? colon + 1
                           : header.find_first_not_of(' ', colon + 1));
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
  const std::string header(text + 8 + length_bytes, length);

  DISCO_TRY(const std::string descr, field(header, "descr", where));
  DISCO_TRY(const std::string order, field(header, "fortran_order", where));
  DISCO_TRY(const std::string extents, field(header, "shape", where));
  DataType type = DataType::Undefined;
  for (const TypeCode& code : kCodes) {
    const std::string want = code.code;
    if (descr.compare(1, 3, want) == 0 ||
        (want[0] == '|' && descr.size() > 3 && descr.compare(2, 2, want.substr(1)) == 0 && descr[1] != '>'))
      type = code.type;
  }
  if (type == DataType::Undefined)
    return bad(where, fmt::format("elements of type {} are not supported",
                                  descr.substr(0, std::min<std::size_t>(descr.find(','), 12))));
  const bool fortran = order.starts_with("True");
  Shape shape;
  if (extents.empty() || extents[0] != '(') return bad(where, "its shape is no tuple");
  const char* at = extents.c_str() + 1;
  std::uint64_t elements = 1;
  while (*at != ')' && *at != '\0') {
    char* end = nullptr;
    const long long extent = std::strtoll(at, &end, 10);
    if (end == at || extent < 0 ||
        (extent > 0 && elements > kMostBytes / static_cast<std::uint64_t>(extent)) || shape.size() >= 32)
      return bad(where, "its shape cannot be");
    elements *= static_cast<std::uint64_t>(extent);
    shape.push_back(extent);
    at = end + std::strspn(end, " ,L");
  }
  if (bytes.size() - start != elements * size_of(type)) {
    return bad(where, fmt::format("{} bytes of elements where {} {} need {}", bytes.size() - start,
                                  to_string(type), to_string(shape), elements * size_of(type)));
  }
  Tensor tensor(type, shape);
  if (!fortran || shape.size() < 2) {
    if (tensor.bytes() > 0) std::memcpy(tensor.raw(), bytes.data() + start, tensor.bytes());
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
  DISCO_TRY([[maybe_unused]] const std::uint64_t size,
            size_of_file(path));  // tells a missing file from a broken one
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
    if (stat.size > kMostBytes || stat.size > (stat.comp_size + 1024) * 2000)
      return bad(where, "its size cannot be");
    const std::unique_ptr<zip_file_t, CloseEntry> entry(
        zip_fopen_index(archive.get(), static_cast<zip_uint64_t>(i), 0));
    std::vector<std::byte> bytes(stat.size);
    if (!entry ||
        zip_fread(entry.get(), bytes.data(), bytes.size()) != static_cast<zip_int64_t>(bytes.size()))
      return bad(where, "is cut off or damaged");
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    DISCO_TRY(tensors[name], parse_npy(bytes, where));
  }
  return tensors;
}

Status write_npz(const std::filesystem::path& path, const NamedTensors& tensors) {
  // libzip writes to a temporary file of its own and renames it when closed.
  std::filesystem::path temporary = path;
  temporary += ".tmp";
  std::error_code ignored;
  std::filesystem::remove(temporary, ignored);
  int code = 0;
  std::unique_ptr<zip_t, CloseZip> archive(zip_open(temporary.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code));
  if (!archive) return error(ErrorCode::Io, "{}: cannot be written", path.string());
  std::vector<std::vector<std::byte>> held;  // libzip reads them when it closes
  for (const auto& [name, tensor] : tensors) {
    DISCO_TRY(std::vector<std::byte> bytes, serialise_npy(tensor, path.string()));
    held.push_back(std::move(bytes));
    zip_source_t* source = zip_source_buffer(archive.get(), held.back().data(), held.back().size(), 0);
    const zip_int64_t index =
        source == nullptr ? -1
                          : zip_file_add(archive.get(), (name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) return error(ErrorCode::Io, "{}: '{}' cannot be added", path.string(), name);
    zip_set_file_compression(archive.get(), static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
  }
  zip_t* closing = archive.release();
  if (zip_close(closing) != 0) {
    const std::string fault = zip_strerror(closing);
    zip_discard(closing);
    std::filesystem::remove(temporary, ignored);
    return error(ErrorCode::Io, "{}: {}", path.string(), fault);
  }
  std::error_code problem;
  std::filesystem::rename(temporary, path, problem);
  if (problem) return error(ErrorCode::Io, "{}: {}", path.string(), problem.message());
  return {};
}

}  // namespace disco
