from .layout import Windowing as Windowing
from .recording import Recording as Recording
from .stream import Moment as Moment
from .stream import StreamingTagger as StreamingTagger
from .tagger import AudioTagger as AudioTagger
from .timeline import Event as Event
from .timeline import EventRule as EventRule
from .timeline import Timeline as Timeline
