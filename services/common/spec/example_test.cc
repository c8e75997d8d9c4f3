// Whole files as users write them, and what becomes of each.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/common/spec/grid.h"
#include "services/common/spec/image.h"
#include "services/common/spec/parse.h"

namespace riseml::spec {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr absl::string_view kSmallest = R"yml(project: smallest
train:
  image: alpine:3.7
  resources: {}
  run: echo hello
)yml";

constexpr absl::string_view kWordCount = R"yml(project: word-count
train:
  image: python:3.6
  install:
    - pip install --no-cache-dir tqdm
    - python -m compileall .
  resources: {cpus: 0.5, mem: 256, gpus: 0}
  run:
    - python prepare.py --input /data/texts
    - python count.py --output $OUTPUT_DIR
)yml";

constexpr absl::string_view kSegment = R"yml(project: segment
train:
  image: nvidia/cuda:9.0-cudnn7-runtime
  resources:
    cpus: 4
    mem: 16384
    gpus: 1
  run: >-
    python3 train.py --epochs 40 --batch 16
    --data /data/cells --out $OUTPUT_DIR
)yml";

constexpr absl::string_view kGrid = R"yml(project: grid
train:
  image: python:3.6
  resources: {cpus: 1, mem: 512, gpus: 0}
  concurrency: 3
  parameters:
    optimizer: [sgd, adam]
    layers: {range: {min: 2, max: 4, step: 1}}
    lr-decay: [1e-6, 1e-7]
  run: python fit.py --opt {{optimizer}} --layers {{layers}} --decay {{lr-decay}}
)yml";

constexpr absl::string_view kDigits = R"yml(project: digits
train:
  framework: tensorflow
  tensorflow: {version: 1.5.0}
  resources: {cpus: 2, mem: 2048, gpus: 0}
  run: python digits.py --logdir $OUTPUT_DIR
)yml";

constexpr absl::string_view kDigitsGpu = R"yml(project: digits-gpu
train:
  framework: tensorflow
  tensorflow:
    tensorboard: false
  resources: {cpus: 2, mem: 8192, gpus: 2}
  run:
    - nvidia-smi
    - python digits.py
)yml";

constexpr absl::string_view kAdsModel = R"yml(project: ads-model
train:
  framework: tensorflow
  tensorflow:
    version: 1.4.1
    distributed:
      ps: {count: 2, resources: {cpus: 1, mem: 4096, gpus: 0}}
      worker: 4
      master:
        resources: {cpus: 1, mem: 1024, gpus: 0}
  resources: {cpus: 3, mem: 8192, gpus: 1}
  run: python ads.py --job-dir $OUTPUT_DIR
)yml";

constexpr absl::string_view kAdsGrid = R"yml(project: ads-grid
train:
  framework: tensorflow
  tensorflow:
    version: latest
    tensorboard: true
    distributed: {ps: 1, worker: 2}
  resources: {cpus: 0.5, mem: 512, gpus: 0}
  parameters:
    batch: [64, 128]
    embedding: 32
  run: python ads.py --batch {{batch}} --embedding {{embedding}}
)yml";

constexpr absl::string_view kRings = R"yml(project: rings
train:
  framework: tensorflow
  tensorflow:
    version: 1.5.0
    tensorboard: false
    horovod:
      version: 0.11.3
      workers: {count: 8, processes: 4}
  resources: {cpus: 8, mem: 32768, gpus: 4}
  run:
    - python make_shards.py
    - python rings.py
)yml";

constexpr absl::string_view kAnchors = R"yml(project: anchors_1
train:
  framework: tensorflow
  image: myteam/tf:custom
  tensorflow:
    tensorboard: true
    distributed:
      ps: {count: 1, resources: &small {cpus: 0.2, mem: 256, gpus: 0}}
      worker: {count: 2, resources: *small}
  resources: *small
  parameters: {shuffle: true, mode: fast}
  run: "python x.py --shuffle {{shuffle}} --mode {{mode}}"
)yml";

Spec Parse(absl::string_view text) {
  auto spec = ParseSpec(text, "riseml.yml");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? *std::move(spec) : Spec{"", Train{}, {}};
}

Train TrainOf(absl::string_view text) { return *Parse(text).train; }

TEST(Examples, Smallest) {
  const Spec spec = Parse(kSmallest);
  EXPECT_EQ(spec.project, "smallest");
  EXPECT_EQ(spec.train->image, "alpine:3.7");
  EXPECT_THAT(spec.train->run, ElementsAre("echo hello"));
  EXPECT_THAT(spec.train->install, IsEmpty());
}

TEST(Examples, SeveralCommands) {
  const Train train = TrainOf(kWordCount);
  EXPECT_EQ(train.resources, (Resources{0.5, 256, 0}));
  EXPECT_THAT(train.install, ElementsAre("pip install --no-cache-dir tqdm", "python -m compileall ."));
  EXPECT_THAT(train.run, ElementsAre("python prepare.py --input /data/texts", "python count.py --output $OUTPUT_DIR"));
}

TEST(Examples, FoldedCommand) {
  const Train train = TrainOf(kSegment);
  EXPECT_EQ(train.resources, (Resources{4, 16384, 1}));
  EXPECT_THAT(train.run, ElementsAre("python3 train.py --epochs 40 --batch 16 --data /data/cells --out $OUTPUT_DIR"));
}

TEST(Examples, GridInItsOrder) {
  const Train train = TrainOf(kGrid);
  EXPECT_EQ(train.concurrency, 3);
  EXPECT_EQ(CombinationCount(train), 12);
  const std::vector<Combination> all = Combinations(train);
  ASSERT_EQ(all.size(), 12u);
  EXPECT_THAT(all[0], ElementsAre(Pair("layers", "2"), Pair("lr-decay", "1e-6"), Pair("optimizer", "sgd")));
  EXPECT_THAT(all[1], ElementsAre(Pair("layers", "2"), Pair("lr-decay", "1e-6"), Pair("optimizer", "adam")));
  EXPECT_THAT(all[2], ElementsAre(Pair("layers", "2"), Pair("lr-decay", "1e-7"), Pair("optimizer", "sgd")));
  EXPECT_THAT(all[11], ElementsAre(Pair("layers", "4"), Pair("lr-decay", "1e-7"), Pair("optimizer", "adam")));
  EXPECT_EQ(*Substitute(train.run[0], all[0]), "python fit.py --opt sgd --layers 2 --decay 1e-6");
}

TEST(Examples, TensorFlowDerivesItsImage) {
  const Train train = TrainOf(kDigits);
  EXPECT_EQ(train.image, "tensorflow/tensorflow:1.5.0");
  EXPECT_FALSE(train.image_given);
  EXPECT_TRUE(train.tensorflow->tensorboard);
  EXPECT_EQ(train.tensorflow->version, "1.5.0");
}

TEST(Examples, NewestGpuImage) {
  const Train train = TrainOf(kDigitsGpu);
  EXPECT_EQ(train.image, "tensorflow/tensorflow:latest-gpu");
  EXPECT_FALSE(train.tensorflow->tensorboard);
}

TEST(Examples, Distributed) {
  const Train train = TrainOf(kAdsModel);
  EXPECT_EQ(train.image, "tensorflow/tensorflow:1.4.1-gpu");
  ASSERT_TRUE(train.tensorflow->distributed.has_value());
  const Distributed& parts = *train.tensorflow->distributed;
  EXPECT_EQ(parts.ps_count, 2);
  EXPECT_EQ(parts.ps, (Resources{1, 4096, 0}));
  EXPECT_EQ(parts.worker_count, 4);
  EXPECT_EQ(parts.worker, (Resources{3, 8192, 1}));
  EXPECT_EQ(parts.master, (Resources{1, 1024, 0}));
}

TEST(Examples, DistributedGrid) {
  const Train train = TrainOf(kAdsGrid);
  EXPECT_EQ(CombinationCount(train), 2);
  EXPECT_EQ(train.tensorflow->distributed->worker_count, 2);
  EXPECT_EQ(train.tensorflow->distributed->master, train.resources);
  EXPECT_EQ(train.image, "tensorflow/tensorflow:latest");
}

TEST(Examples, HorovodImage) {
  const Train train = TrainOf(kRings);
  EXPECT_EQ(train.image, "riseml/tensorflow:1.5.0-horovod-0.11.3-gpu");
  EXPECT_EQ(train.tensorflow->horovod->worker_count, 8);
  EXPECT_EQ(train.tensorflow->horovod->processes, 4);
}

TEST(Examples, Aliases) {
  const Train train = TrainOf(kAnchors);
  EXPECT_EQ(train.image, "myteam/tf:custom");
  EXPECT_TRUE(train.image_given);
  EXPECT_EQ(train.resources, (Resources{0.2, 256, 0}));
  EXPECT_EQ(train.tensorflow->distributed->worker, train.resources);
  EXPECT_EQ(train.tensorflow->distributed->master, train.resources);
  EXPECT_EQ(*Substitute(train.run[0], Combinations(train)[0]), "python x.py --shuffle True --mode fast");
}

// The parts of a distributed job replace the parent's resources as a whole; empty ones take the parent's.
TEST(Parts, ReplaceResourcesAsAWhole) {
  const Train train = TrainOf(
      "project: ab\ntrain:\n  resources: {cpus: 1, mem: 2, gpus: 3}\n  run: a\n  framework: tensorflow\n"
      "  tensorflow: {distributed: {ps: {resources: {cpus: 5}}, worker: {count: 2, resources: {}}, master: {}}}\n");
  const Distributed& parts = *train.tensorflow->distributed;
  EXPECT_EQ(parts.ps, (Resources{5, std::nullopt, std::nullopt}));
  EXPECT_EQ(parts.ps_count, 1);
  EXPECT_EQ(parts.worker, train.resources);
  EXPECT_EQ(parts.master, train.resources);
}

TEST(Parts, EmptySectionsAreNotWanted) {
  const Train train = TrainOf(
      "project: ab\ntrain:\n  resources: {}\n  run: a\n  framework: tensorflow\n"
      "  tensorflow: {distributed: {}, horovod: {}}\n");
  EXPECT_FALSE(train.tensorflow->distributed.has_value());
  EXPECT_FALSE(train.tensorflow->horovod.has_value());
  EXPECT_EQ(train.image, "tensorflow/tensorflow:latest");
}

TEST(DerivedImage, WantsGpusWhenAnyPartDoes) {
  Train train;
  train.tensorflow = TensorFlow{};
  train.tensorflow->version = "1.5.0-gpu";
  train.resources.gpus = 1;
  EXPECT_EQ(DerivedImage(train), "tensorflow/tensorflow:1.5.0-gpu");
  train.resources.gpus = 0;
  train.tensorflow->version.clear();
  train.tensorflow->distributed = Distributed{};
  EXPECT_EQ(DerivedImage(train), "tensorflow/tensorflow:latest");
  for (Resources Distributed::*part : {&Distributed::master, &Distributed::worker, &Distributed::ps}) {
    train.tensorflow->distributed = Distributed{};
    ((*train.tensorflow->distributed).*part).gpus = 1;
    EXPECT_EQ(DerivedImage(train), "tensorflow/tensorflow:latest-gpu");
  }
  train.tensorflow->distributed.reset();
  train.tensorflow->horovod = Horovod{};
  EXPECT_EQ(DerivedImage(train), "riseml/tensorflow:latest-horovod-latest");
}

}  // namespace
}  // namespace riseml::spec
