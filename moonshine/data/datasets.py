"""The former module of all datasets, for imports that have not moved yet."""

from moonshine.data.cifar import RELEASED_NORMALIZATION, cifar10, cifar100  # noqa: F401
from moonshine.data.drawing import label_maps, segmentation_shapes, shapes  # noqa: F401
from moonshine.data.folders import IMAGE_FILES, folder  # noqa: F401
from moonshine.data.images import (  # noqa: F401
    ALL,
    Data,
    ImageSet,
    color_statistics,
    fingerprint,
    normalize,
    take,
    test_batches,
    train_batches,
)
from moonshine.data.registry import DATASETS, load_data  # noqa: F401
from moonshine.data.streaming import Decoder, Files, Stream, imagenet  # noqa: F401
