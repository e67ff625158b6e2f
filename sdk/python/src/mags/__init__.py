"""Client of Mags: run scripts in isolated Linux machines that you host yourself."""

from . import types
from ._client import AsyncMags
from ._errors import MagsError
from ._follow import entry_bytes
from ._sync import Mags

__all__ = ["AsyncMags", "Mags", "MagsError", "entry_bytes", "types"]
__version__ = "0.1.0"
