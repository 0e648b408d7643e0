"""Who else is told how training goes. It changes no result, so it is not part of the config hash."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

LoggerName = Literal["csv", "tensorboard", "mlflow"]


class LoggersConfig(BaseModel):
    """Loggers, and where they write to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[LoggerName, ...] = Field(
        ("csv",), description="csv (metrics.csv, which is always written), tensorboard, mlflow"
    )
    tracking_uri: str | None = Field(
        None, description="of mlflow; none: a file mlflow.db in the folder of the study, or of the run"
    )
    experiment: str | None = Field(None, description="of mlflow; none: the data set's name")

    @field_validator("names", mode="before")
    @classmethod
    def _one(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given


def short_loggers(given: Any) -> Any:
    """`loggers: [tensorboard]` is short for `loggers: {names: [tensorboard]}`."""
    return {"names": given} if isinstance(given, list | tuple | str) else given
