from .analysis import Limits as Limits
from .analysis import load_taggers as load_taggers
from .page import launch as launch
from .page import make_page as make_page
