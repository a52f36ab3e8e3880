"""The errors whose cause an operator can mend; the text of each is a sentence."""

from __future__ import annotations

from maimconfig.backup.container import BackupError
from maimconfig.db.lifecycle import StartError
from maimconfig.http.errors import AppError
from maimconfig.moving.errors import MovingError
from maimconfig.settings import SettingsError
from maimconfig.system.catalogue import CatalogueError

MENDABLE = (SettingsError, StartError, CatalogueError, AppError, BackupError, MovingError)
