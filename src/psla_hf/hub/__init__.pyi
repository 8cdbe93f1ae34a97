from .publish import push_labels as push_labels
from .publish import push_model as push_model
