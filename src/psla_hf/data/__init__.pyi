from .load import load_audioset as load_audioset
from .load import load_esc as load_esc
from .load import load_fsd50k as load_fsd50k
from .load import load_tagging_dataset as load_tagging_dataset
from .schema import class_names as class_names
from .shards.shard_files import find_shards as find_shards
