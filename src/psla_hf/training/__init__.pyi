from .build import make_accelerator as make_accelerator
from .recipe import Recipe as Recipe
from .recipes import get_recipe as get_recipe
from .run.settings import RunSettings as RunSettings
from .start import Start as Start
from .trainer import RunInterruptedError as RunInterruptedError
from .trainer import Trainer as Trainer
