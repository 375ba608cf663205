"""Where a table lies: its project, its dataset by namespace, and its name, as BigQuery has them."""

from __future__ import annotations

from dataclasses import dataclass

from lorchestra.schemas.envelope import PRODUCTION
from lorchestra.storacle.backends.bigquery.config import DATASET, SMOKE_PREFIX, BigQueryConfig
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError

OWN = "storacle"
"""The dataset of what storacle keeps for itself."""


@dataclass(frozen=True, slots=True, order=True)
class TableId:
    """A table as ops name it."""

    namespace: str
    dataset: str
    table: str


@dataclass(frozen=True, slots=True)
class Physical:
    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def sql(self) -> str:
        return f"`{self.project}`.`{self.dataset}`.`{self.table}`"


class Names:
    def __init__(self, config: BigQueryConfig) -> None:
        self._config = config

    def dataset(self, namespace: str, dataset: str) -> str:
        """Raises RpcError (forbidden) for a dataset of production that a smoke run could own."""
        if namespace != PRODUCTION:
            return f"{namespace}_{dataset}"
        name = self._config.datasets.get(dataset, dataset)
        if name.startswith(SMOKE_PREFIX) or not DATASET.fullmatch(name):
            raise RpcError(ErrorCode.FORBIDDEN)
        return name

    def logical(self, namespace: str, dataset: str) -> str | None:
        """The name that ops of a smoke namespace have for one of its datasets; None for a dataset of someone else."""
        prefix = f"{namespace}_"
        return dataset.removeprefix(prefix) if dataset.startswith(prefix) else None

    def physical(self, table: TableId) -> Physical:
        return Physical(self._config.project, self.dataset(table.namespace, table.dataset), table.table)

    def own(self, namespace: str, table: str) -> Physical:
        return self.physical(TableId(namespace, OWN, table))


def quoted(name: str) -> str:
    return f"`{name}`"
