"""Where the coordinator of a search and its workers meet: a shared folder, or an Optuna storage."""

from automoe.search.store.folder import FolderStore
from automoe.search.store.heartbeat import Heartbeat, Pause
from automoe.search.store.optuna_store import OptunaStore
from automoe.search.store.storage_url import check_url, masked
from automoe.search.store.store import COORDINATOR, Claim, NoStoreError, Outcome, Store

__all__ = [
    "COORDINATOR",
    "Claim",
    "FolderStore",
    "Heartbeat",
    "NoStoreError",
    "OptunaStore",
    "Outcome",
    "Pause",
    "Store",
    "check_url",
    "masked",
]
