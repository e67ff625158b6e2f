"""Client of Mags: run scripts in isolated Linux machines that you host yourself."""

from . import types
from ._client import AsyncMags
from ._errors import MagsError
from ._follow import entry_bytes
from ._session import AsyncSession, Session
from ._sync import Mags

__all__ = ["AsyncMags", "AsyncSession", "Mags", "MagsError", "Session", "entry_bytes", "types"]
__version__ = "0.1.0"
