from .ontology import Ontology as Ontology
from .vocabulary import ClipLabels as ClipLabels
from .vocabulary import Vocabulary as Vocabulary
