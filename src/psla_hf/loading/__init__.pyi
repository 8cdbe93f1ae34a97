from .augmentation import Augmentation as Augmentation
from .samples import Batch as Batch
from .samples import SampleMaker as SampleMaker
from .samples import collate as collate
from .stream import TaggingStream as TaggingStream
