"""The interface of stages: rows in, rows out, exactly one row for each id (docs/explanation/determinism.md).

Stage code uses only this module: it never imports the executor, Ray or the workspace. The executor handles everything
operational (workers, attempts, isolation, commits).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from interlink.errors import UserError
from interlink.settings import Settings
from interlink.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Blob:
    """Bytes that a stage stores (a JPEG, a subtitle file).

    Put it into a column of type `BLOB`. The store writes the bytes into a tar next to the part, and the row gets (blob,
    offset, size, sha256).
    """

    data: bytes
    suffix: str = ".bin"  # with the dot; the suffix of the member's name in the tar


@dataclass
class Row:
    """The result for one id at one stage. `fields` follow the stage's schema in `interlink.tables`.

    status is `ok`, `dropped` (with `reason`) or `failed` (with `error_class`); `partial` marks an ok row
    that lost a part (`message` says what).
    """

    id: str
    fields: dict[str, Any] = field(default_factory=dict)
    status: str = "ok"
    reason: str = ""
    error_class: str = ""
    message: str = ""
    partial: bool = False
    retry_after: float | None = None  # seconds; a hint for the executor's backoff, not stored

    def columns(self) -> dict[str, Any]:
        """The columns that every table has (`interlink.tables.COMMON`)."""
        return {
            "id": self.id,
            "status": self.status,
            "reason": self.reason,
            "error_class": self.error_class,
            "message": self.message,
            "partial": self.partial,
        }


@dataclass(frozen=True)
class Context:
    """The build as stages see it. Cheap to pickle: it has no open connections.

    root: storage of the build (downloaded media is in `media/`, with paths relative to the root).
    recipe: the recipe's name. fingerprints: stage name -> fingerprint, for provenance. fresh: stage name -> how often
    `--fresh` has named it. excluded_clips: item -> the numbers of its clips that no document may hold.
    """

    root: Storage
    seed: int = 0
    recipe: str = ""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    fresh: Mapping[str, int] = field(default_factory=dict)
    excluded_clips: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One id with the rows of the tables its stage reads.

    rows: table name -> that table's columns for this id ("collect" is always there). folders: table name -> the folder
    (relative to the root) that this partition's blobs lie in.
    """

    id: str
    partition: str
    rows: Mapping[str, Mapping[str, Any]]
    folders: Mapping[str, str]
    context: Context

    def blob(self, table: str, reference: Mapping[str, Any]) -> bytes:
        """The bytes behind a BLOB reference found in `rows[table]`; one range read."""
        path = f"{self.folders[table]}/{reference['blob']}"
        return self.context.root.read_range(path, int(reference["offset"]), int(reference["size"]))


@dataclass(frozen=True)
class Resources:
    """The resources of one worker. The executor scales them down so that one worker of every stage fits."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory_mb: int = 0  # 0 = not stated
    workers: int = 0  # most workers; 0 = as many as fit


class Stage(ABC):
    """A step from rows to rows. Derive from it, or from `PerItem`, and override the defaults.

    name: of the stage, its table and its block in the recipe.
    version: increase it when the same settings give other rows; part of the fingerprint.
    isolated: for native code: items run one by one in a child process that can be killed, with a deadline.
    scope: `item`; or `run`: it gets all items of one run of partitions at once, in order (sharding); or `build`: all
    items of all partitions, in order (decisions over the whole build).
    leaves_out: its rows hold nothing that `source.exclude_ids` names, so that list is in its fingerprint; for stages
    that make documents. It leaves out `Context.excluded_clips`; whole videos are dropped for it.
    schema: of its table: `interlink.tables.COMMON` and its own columns. None: taken from `interlink.tables.SCHEMAS`.
    """

    name: ClassVar[str]
    settings_class: ClassVar[type[Settings]]  # every field needs a `description`, which `interlink stages` prints
    version: ClassVar[int] = 1
    isolated: ClassVar[bool] = False
    scope: ClassVar[Literal["item", "run", "build"]] = "item"
    leaves_out: ClassVar[bool] = False
    schema: ClassVar[pa.Schema | None] = None

    def __init__(self, settings: Any, context: Context) -> None:
        self.settings = settings
        self.context = context

    @classmethod
    def table_schema(cls, name: str) -> pa.Schema:
        """The schema of its table as the stage `name` of a recipe. Raises UserError if it declares none."""
        from interlink.tables import SCHEMAS

        schema = cls.schema if cls.schema is not None else SCHEMAS.get(name)
        if schema is None:
            raise UserError(
                f"the stage {name} ({cls.__module__}.{cls.__qualname__}) declares no schema",
                "give its class a `schema` (docs/how-to/write-a-plugin.md)",
                2,
            )
        return schema

    @staticmethod
    def needs(settings: Any) -> tuple[str, ...]:
        """Tables it reads. An item reaches the stage if its rows there are all `ok`."""
        return ()

    @staticmethod
    def uses(settings: Any) -> tuple[str, ...]:
        """Tables it reads if the recipe makes them."""
        return ()

    @staticmethod
    def unfilled(settings: Any) -> Mapping[str, str]:
        """Columns of its rows that are null with these settings, and the setting that fills each."""
        return {}

    @staticmethod
    def relies_on(settings: Any) -> Mapping[str, tuple[str, str]]:
        """Its settings that have no effect where a column is null: setting -> (table, column)."""
        return {}

    @staticmethod
    def resources(settings: Any) -> Resources:
        """The resources of one worker."""
        return Resources(cpus=1.0)

    @staticmethod
    def together(settings: Any) -> int:
        """Number of items it wants at once, so that a model's batches are full even with small partitions."""
        return 1

    @classmethod
    def expected_seconds(cls, settings: Any, megabytes: float, local: bool) -> float:
        """Seconds that an item takes one worker, roughly, before any has been measured.

        By these a build decides whether starting Ray pays. megabytes: of its media, which is already here if `local`.
        """
        return 0.05 + (0.5 * megabytes if cls.costly(settings) else 0.0)

    @staticmethod
    def costly(settings: Any) -> bool:
        """Whether recomputing finished rows needs `--yes`, and attempts are recorded before they begin."""
        return False

    @staticmethod
    def amounts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        """Counts of what the rows of one partition hold, such as clips, frames or tokens.

        rows: all columns of every row, whatever its status. The counts are written to the partition's summary; reports
        add them up over the build.
        """
        return {}

    @staticmethod
    def idle(settings: Any, rows: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
        """Names of its settings that have no part in an item with these rows (by table); `why` leaves them out."""
        return frozenset()

    @staticmethod
    def check(settings: Any, context: Context) -> None:
        """Raises UserError where a package, a model or a file that `open` needs is missing.

        Called once where the build was started, before any stage runs. Costs milliseconds and loads no weights.
        """

    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """Table -> the columns it reads, in addition to id and status. All columns of a table that is not named.

        `clips.start` is one field of the structs in a column.
        """
        return {}

    def open(self) -> None:
        """Loads models and starts pools, once per worker."""

    def close(self) -> None:
        """Releases what `open` loaded."""

    @abstractmethod
    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        """Yields a row per item, in any order, each as soon as it is ready. An error of one item must not escape."""

    def deadline(self, item: Item) -> float:
        """Seconds after which an isolated item counts as stalled (base + k × duration)."""
        return 3600.0


def failed(item_id: str, error: BaseException) -> Row:
    """The row for an exception: by its class for StageError and Dropped, else `memory` or `bug`."""
    from interlink.errors import Dropped, StageError

    if isinstance(error, Dropped):
        return Row(item_id, status="dropped", reason=error.reason, message=str(error))
    if isinstance(error, StageError):
        return Row(
            item_id, status="failed", error_class=error.error_class, message=str(error), retry_after=error.retry_after
        )
    if isinstance(error, MemoryError):
        return Row(item_id, status="failed", error_class="memory", message="out of memory")
    import traceback

    trace = "".join(traceback.format_exception(error)[-8:])
    return Row(item_id, status="failed", error_class="bug", message=f"{type(error).__name__}: {error}\n{trace}"[:4000])


class PerItem(Stage):
    """A stage that handles one item at a time: define `process`; `run` calls it."""

    def deadline(self, item: Item) -> float:
        return 120.0

    @abstractmethod
    def process(self, item: Item) -> Row:
        """Returns the item's row, or raises StageError or Dropped."""

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        for item in items:
            try:
                yield self.process(item)
            except UserError:  # not the item's fault: the build stops with this error
                raise
            except Exception as error:
                yield failed(item.id, error)
