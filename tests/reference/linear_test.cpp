// Products against their definitions, and against each other.

#include "nn_helpers.h"

namespace disco::reference {
namespace {

// One element of NumPy's matmul at a time, by index arithmetic on full broadcast shapes.
Tensor matmul_plainly(const Tensor& a, const Tensor& b) {
  Shape left = a.shape(), right = b.shape();
  if (a.rank() == 1) left.insert(left.begin(), 1);
  if (b.rank() == 1) right.push_back(1);
  const std::size_t rank = std::max(left.size(), right.size());
  left.insert(left.begin(), rank - left.size(), 1);
  right.insert(right.begin(), rank - right.size(), 1);
  Shape full;
  for (std::size_t i = 0; i + 2 < rank; ++i) full.push_back(left[i] == 1 ? right[i] : left[i]);
  full.push_back(left[rank - 2]);
  full.push_back(right[rank - 1]);
  const Doubles as = to_doubles(a), bs = to_doubles(b);
  Doubles y;
  for (std::int64_t flat = 0; flat < element_count(full); ++flat) {
    Shape at(rank);
    std::int64_t rest = flat;
    for (std::size_t i = rank; i-- > 0; rest /= full[i]) at[i] = rest % full[i];
    double sum = 0;
    for (std::int64_t k = 0; k < left[rank - 1]; ++k) {
      std::int64_t ia = 0, ib = 0;
      for (std::size_t i = 0; i < rank; ++i) {
        const std::int64_t pa = i == rank - 1 ? k : at[i];
        const std::int64_t pb = i == rank - 2 ? k : at[i];
        ia = ia * left[i] + (left[i] == 1 ? 0 : pa);
        ib = ib * right[i] + (right[i] == 1 ? 0 : pb);
      }
      sum += as[static_cast<std::size_t>(ia)] * bs[static_cast<std::size_t>(ib)];
    }
    y.push_back(sum);
  }
  Shape shape = full;
  if (b.rank() == 1) shape.pop_back();
  if (a.rank() == 1) shape.erase(shape.end() - (b.rank() == 1 ? 1 : 2));
  return from_doubles(a.type(), shape, y);
}

const std::vector<std::pair<Shape, Shape>> kProducts{
    {{3}, {3}},
    {{3}, {3, 5}},
    {{4, 3}, {3}},
    {{4, 3}, {3, 5}},
    {{1, 1}, {1, 1}},
    {{2, 4, 3}, {3, 5}},
    {{4, 3}, {2, 3, 5}},
    {{2, 4, 3}, {2, 3, 5}},
    {{2, 4, 3}, {3}},
    {{3}, {2, 3, 5}},
    {{2, 1, 4, 3}, {6, 3, 5}},
    {{6, 4, 3}, {2, 1, 3, 5}},
    {{1, 4, 3}, {2, 3, 5}},
    {{17, 130}, {130, 9}},
    {{2, 65, 129}, {129, 3}},
    {{0, 3}, {3, 5}},
    {{4, 0}, {0, 5}},
    {{2, 0, 3}, {3, 5}},
};

TEST(MatMul, EqualsTheDefinition) {
  for (const auto& [left, right] : kProducts) {
    for (const DataType type : {DataType::Float32, DataType::Float64}) {
      const Tensor a = random_tensor(left, 1, type);
      const Tensor b = random_tensor(right, 2, type);
      EXPECT_TRUE(is_near(compute("MatMul", {}, {a, b}), matmul_plainly(a, b), 1e-6))
          << to_string(left) << " x " << to_string(right) << " " << to_string(type);
    }
    for (const DataType type : {DataType::Int32, DataType::Int64, DataType::UInt32, DataType::UInt64}) {
      const Tensor a = small_integers(left, 3, type);
      const Tensor b = small_integers(right, 4, type);
      EXPECT_TRUE(is_near(compute("MatMul", {}, {a, b}), matmul_plainly(a, b), 0))
          << to_string(left) << " x " << to_string(right) << " " << to_string(type);
    }
  }
}

TEST(MatMul, RefusesWhatDoesNotFit) {
  const std::vector<std::pair<Shape, Shape>> cases{
      {{4, 3}, {4, 5}}, {{}, {3}}, {{3}, {}}, {{2, 4, 3}, {3, 3, 5}}, {{3}, {4}}};
  for (const auto& [left, right] : cases) {
    const auto result = evaluate(node_of("MatMul"), {random_tensor(left, 1), random_tensor(right, 2)});
    ASSERT_FALSE(result.ok()) << to_string(left) << " x " << to_string(right);
    EXPECT_EQ(result.error().code, ErrorCode::ShapeMismatch);
  }
}

TEST(Gemm, IsScaledMatMulPlusBroadcastC) {
  for (const std::int64_t m : {1, 3, 20}) {
    for (const std::int64_t k : {0, 1, 5, 70}) {
      for (const std::int64_t n : {1, 4}) {
        for (const bool ta : {false, true}) {
          for (const bool tb : {false, true}) {
            for (const Shape& c : {Shape{}, Shape{1}, Shape{n}, Shape{m, 1}, Shape{1, n}, Shape{m, n}}) {
              const Tensor a = random_tensor({m, k}, 1);
              const Tensor b = random_tensor({k, n}, 2);
              const Tensor addend = random_tensor(c, 3);
              const auto transposed = [](const Tensor& t) {
                Tensor out(t.type(), {t.shape()[1], t.shape()[0]});
                for (std::int64_t i = 0; i < t.shape()[0]; ++i) {
                  for (std::int64_t j = 0; j < t.shape()[1]; ++j) {
                    out.data<float>()[j * t.shape()[0] + i] = t.data<float>()[i * t.shape()[1] + j];
                  }
                }
                return out;
              };
              const Tensor got = compute("Gemm",
                                         {{"alpha", 0.5F},
                                          {"beta", -2.0F},
                                          {"transA", std::int64_t{ta}},
                                          {"transB", std::int64_t{tb}}},
                                         {ta ? transposed(a) : a, tb ? transposed(b) : b, addend});
              Doubles want = to_doubles(matmul_plainly(a, b));
              const Doubles cs = to_doubles(addend);
              for (std::int64_t i = 0; i < m * n; ++i) {
                const std::int64_t row = c.size() == 2 && c[0] == m && m > 1 ? i / n : 0;
                const std::int64_t column = !c.empty() && c.back() == n && n > 1 ? i % n : 0;
                const std::int64_t width = c.empty() ? 1 : c.back();
                auto& value = want[static_cast<std::size_t>(i)];
                value = 0.5 * value - 2 * cs[static_cast<std::size_t>(row * width + column)];
              }
              EXPECT_TRUE(is_near(got, from_doubles(DataType::Float32, {m, n}, want), 1e-5))
                  << "m=" << m << " k=" << k << " n=" << n << " transA=" << ta << " transB=" << tb << " C"
                  << to_string(c);
            }
          }
        }
      }
    }
  }
}

TEST(MatMulInteger, SubtractsZeroPointsOfRowsAndColumns) {
  const Tensor a = small_integers({4, 3}, 1, DataType::UInt8);
  const Tensor b = small_integers({3, 5}, 2, DataType::Int8);
  for (const bool per_axis : {false, true}) {
    const Tensor za =
        per_axis ? from_doubles(DataType::UInt8, {4}, {1, 2, 0, 4}) : from_doubles(DataType::UInt8, {}, {3});
    const Tensor zb = per_axis ? from_doubles(DataType::Int8, {5}, {1, -2, 0, 4, 7})
                               : from_doubles(DataType::Int8, {}, {-3});
    Doubles as = to_doubles(a), bs = to_doubles(b);
    for (std::size_t i = 0; i < as.size(); ++i) as[i] -= to_doubles(za)[per_axis ? i / 3 : 0];
    for (std::size_t i = 0; i < bs.size(); ++i) bs[i] -= to_doubles(zb)[per_axis ? i % 5 : 0];
    const Tensor want =
        matmul_plainly(from_doubles(DataType::Int32, {4, 3}, as), from_doubles(DataType::Int32, {3, 5}, bs));
    EXPECT_TRUE(is_near(compute("MatMulInteger", {}, {a, b, za, zb}), want, 0)) << "per_axis=" << per_axis;
  }
}

Tensor einsum(const std::string& equation, const Inputs& inputs) {
  return compute("Einsum", {{"equation", equation}}, inputs);
}

TEST(Einsum, EqualsMatMulInEveryBatchForm) {
  const Tensor a = random_tensor({2, 3, 4, 5}, 1);
  const Tensor b = random_tensor({2, 3, 5, 6}, 2);
  const Tensor want = matmul_plainly(a, b);
  for (const char* equation : {"bhij,bhjk->bhik", "...ij,...jk->...ik", "...ij,...jk",
                               "b h i j , b h j k -> b h i k", "zyXj,zyjW->zyXW"}) {
    EXPECT_TRUE(is_near(einsum(equation, {a, b}), want, 1e-6)) << equation;
  }
  const Tensor one = random_tensor({5, 6}, 3);
  EXPECT_TRUE(is_near(einsum("...ij,jk->...ik", {a, one}), matmul_plainly(a, one), 1e-6));
  EXPECT_TRUE(is_near(einsum("...ij,...jk->...ik", {a, one}), matmul_plainly(a, one), 1e-6));
}

TEST(Einsum, CoversReductionsDiagonalsAndThreeOperands) {
  const Tensor x = Tensor::of<float>({3, 3}, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9});
  EXPECT_EQ(to_doubles(einsum("ii", {x})), Doubles{15});
  EXPECT_EQ(to_doubles(einsum("ii->i", {x})), (Doubles{1, 5, 9}));
  EXPECT_EQ(to_doubles(einsum("ij->ji", {x})), (Doubles{1, 4, 7, 2, 5, 8, 3, 6, 9}));
  EXPECT_EQ(to_doubles(einsum("ij->", {x})), Doubles{45});
  EXPECT_EQ(to_doubles(einsum("ij->j", {x})), (Doubles{12, 15, 18}));
  const Tensor v = Tensor::of<float>({3}, std::vector<float>{1, -1, 2});
  EXPECT_EQ(to_doubles(einsum("i,ij,j->", {v, x, v})),
            Doubles{1 * (1 - 2 + 6) - (4 - 5 + 12) + 2 * (7 - 8 + 18)});
  EXPECT_EQ(to_doubles(einsum("i,j->ij", {v, v})), (Doubles{1, -1, 2, -1, 1, -2, 2, -2, 4}));
}

TEST(Einsum, RefusesWhatIsNoEquation) {
  const Tensor x = random_tensor({2, 3}, 1);
  for (const char* equation :
       {"", "ij,jk", "ijk", "i", "ij->ik", "ij->ii", "i1->i", "..ij", "......ij", "ii"}) {
    EXPECT_FALSE(evaluate(node_of("Einsum", {{"equation", std::string(equation)}}), {x}).ok()) << equation;
  }
}

}  // namespace
}  // namespace disco::reference
