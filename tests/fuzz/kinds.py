"""The table of the kinds of inputs."""

from .databases import DATABASES
from .files import FILES
from .models import MODELS
from .pictures import PICTURES
from .running import Kind
from .texts import TEXTS

KINDS: dict[str, Kind] = {kind.name: kind for kind in (PICTURES, TEXTS, FILES, MODELS, DATABASES)}
