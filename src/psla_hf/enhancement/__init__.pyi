from .algorithm import enhance_labels as enhance_labels
from .label_set import LabelSet as LabelSet
