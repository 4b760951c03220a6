#pragma once
// The cases that ONNX publishes for backends: a model, and inputs with the outputs that they give.

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "../operators_page.h"
#include "base/file.h"
#include "base/half.h"
#include "graph/onnx.h"

namespace disco::testing {

namespace fs = std::filesystem;

struct DataSet {
  NamedTensors inputs;
  NamedTensors outputs;
};

struct OnnxCase {
  std::string name;  ///< "node/test_add"
  fs::path folder;
  std::string not_claimed;  ///< why docs/operators.md leaves it out; empty where it must pass
  std::set<std::string> unclaimed_operators;  ///< those to blame, where there are any
  std::int64_t opset = 0;
  std::string unusable;           ///< why it says nothing of its operator; it is not run at all
  std::set<std::string> bfloats;  ///< inputs and outputs that the file declares as bfloat16
};

/// The folder of the cases: DISCO_ONNX_TESTDATA, or where Debian's libonnx-testdata puts them.
inline fs::path onnx_testdata() {
  const char* given = std::getenv("DISCO_ONNX_TESTDATA");
  return given != nullptr ? given : "/usr/share/libonnx-testdata/data";
}

inline Result<onnx::ModelProto> read_model(const fs::path& path) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(path));
  onnx::ModelProto model;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return error(ErrorCode::InvalidModel, "{}: not a model", path.string());
  return model;
}

inline void collect_operators(const onnx::GraphProto& graph, std::set<std::string>& operators) {
  for (const auto& node : graph.node()) {
    const bool own = node.domain().empty() || node.domain() == "ai.onnx";
    operators.insert(own ? node.op_type() : node.domain() + "." + node.op_type());
    for (const auto& attribute : node.attribute()) {
      if (attribute.has_g()) collect_operators(attribute.g(), operators);
    }
  }
}

/// Why a type is not claimed, or an empty string.
inline std::string unclaimed_type(const onnx::TypeProto& type) {
  if (type.has_sequence_type()) return "sequences";
  if (type.has_optional_type()) return "optional values";
  if (!type.has_tensor_type()) return "values that are not tensors";
  switch (type.tensor_type().elem_type()) {
    case onnx::TensorProto::STRING: return "strings";
    case onnx::TensorProto::COMPLEX64:
    case onnx::TensorProto::COMPLEX128: return "complex numbers";
    default: return "";
  }
}

/// Forms of claimed operators that the page leaves out.
inline std::string unclaimed_form(const onnx::ModelProto& model, const fs::path& folder) {
  for (const auto& node : model.graph().node()) {
    for (const auto& attribute : node.attribute()) {
      if (node.op_type() == "BatchNormalization" && attribute.name() == "training_mode" && attribute.i() != 0)
        return "BatchNormalization in training mode";
    }
    if (node.op_type() == "Dropout" && folder.filename().string().starts_with("test_training_dropout"))
      return "Dropout in training mode";
  }
  return "";
}

/// Why a case of onnx 1.17 says nothing of its operator, or an empty string.
inline std::string unusable_data(const std::string& name) {
  if (name.starts_with("test_qlinearmatmul_") && name.find("_int8_") != std::string::npos)
    return "published data wrap around where the operator saturates";
  if (name.starts_with("test_affine_grid_") && name.ends_with("_expanded"))
    return "the branch that is not taken contradicts its shapes";
  if (name.starts_with("test_optional_has_element_empty")) return "opset 17 has no form without the input";
  return "";
}

inline constexpr std::int64_t kOldestClaimedOpset = 6;

inline OnnxCase classify(const fs::path& folder, const onnx::ModelProto& model, const OperatorsPage& page) {
  OnnxCase made;
  made.name = folder.parent_path().filename().string() + "/" + folder.filename().string();
  made.folder = folder;
  for (const auto& import : model.opset_import()) {
    if (import.domain().empty() || import.domain() == "ai.onnx") made.opset = import.version();
  }
  if (made.opset > kOpset) made.unusable = unusable_data(folder.filename().string());
  std::set<std::string> operators;
  collect_operators(model.graph(), operators);
  for (const std::string& op : operators) {
    if (page.claimed.contains(op)) continue;
    made.unclaimed_operators.insert(op);
    const auto refused = page.refused.find(op);
    // An operator that the page does not know at all is not excused: its case is run, and fails.
    if (refused != page.refused.end()) made.not_claimed = op + ": " + refused->second;
  }
  if (!made.not_claimed.empty()) return made;
  if (made.opset < kOldestClaimedOpset) made.not_claimed = "opsets below 6";
  for (const auto& list : {model.graph().input(), model.graph().output()}) {
    for (const auto& info : list) {
      if (const std::string reason = unclaimed_type(info.type()); !reason.empty()) made.not_claimed = reason;
      if (info.type().tensor_type().elem_type() == onnx::TensorProto::BFLOAT16)
        made.bfloats.insert(info.name());
    }
  }
  for (const auto& node : model.graph().node()) {
    for (const auto& attribute : node.attribute()) {
      if (node.op_type() == "Cast" && attribute.name() == "to" && attribute.i() == onnx::TensorProto::STRING)
        made.not_claimed = "strings";
    }
  }
  if (made.not_claimed.empty()) made.not_claimed = unclaimed_form(model, folder);
  return made;
}

/// All cases of one suite ("node", "simple" …), by name.
inline std::vector<OnnxCase> cases_of(const std::string& suite, const OperatorsPage& page) {
  std::vector<OnnxCase> cases;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(onnx_testdata() / suite, failure)) {
    auto model = read_model(entry.path() / "model.onnx");
    if (model) cases.push_back(classify(entry.path(), *model, page));
  }
  std::ranges::sort(cases, {}, &OnnxCase::name);
  return cases;
}

/// ONNX publishes bfloat16 as the integers that hold its bits; it is read as float32.
inline Tensor from_bfloats(const Tensor& bits) {
  if (bits.type() != DataType::UInt16) return bits;
  Tensor wide(DataType::Float32, bits.shape());
  std::transform(bits.data<std::uint16_t>(), bits.data<std::uint16_t>() + bits.elements(), wide.data<float>(),
                 float_of_bfloat);
  return wide;
}

/// The data sets of a case; inputs and outputs by the names that the model gives them. InvalidArgument where
/// the published data are of another shape than the published model says.
inline Result<std::vector<DataSet>> data_sets(const OnnxCase& onnx_case, const Graph& graph) {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(onnx_case.folder)) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::ranges::sort(folders);
  std::vector<DataSet> sets;
  for (const fs::path& folder : folders) {
    DataSet set;
    const auto read = [&](const char* kind, const std::vector<ValueId>& ids, NamedTensors& into) -> Status {
      for (std::size_t i = 0; i < ids.size(); ++i) {
        DISCO_TRY(const auto bytes, read_file(folder / fmt::format("{}_{}.pb", kind, i)));
        DISCO_TRY(auto named, parse_tensor(bytes));
        const Value& declared = graph.value(ids[i]);
        if (declared.dims && static_cast<std::int64_t>(declared.dims->size()) != named.second.rank())
          return error(ErrorCode::InvalidArgument, "data of {} for '{}'", to_string(named.second.shape()),
                       declared.name);
        const bool bits = onnx_case.bfloats.contains(declared.name);
        into[declared.name] = bits ? from_bfloats(named.second) : std::move(named.second);
      }
      return {};
    };
    DISCO_CHECK(read("input", graph.inputs, set.inputs));
    DISCO_CHECK(read("output", graph.outputs, set.outputs));
    sets.push_back(std::move(set));
  }
  if (sets.empty()) return error(ErrorCode::NotFound, "{}: no data set", onnx_case.name);
  return sets;
}

}  // namespace disco::testing
