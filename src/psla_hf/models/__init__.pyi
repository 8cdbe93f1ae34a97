from .export import export_model as export_model
from .saved import Saved as Saved
from .saved import load_saved as load_saved
