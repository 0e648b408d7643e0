"""Loggers that training writes to. They change no result and are not part of the config hash."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

LoggerName = Literal["csv", "tensorboard", "mlflow"]


class LoggersConfig(BaseModel):
    """Loggers and their destinations."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    names: tuple[LoggerName, ...] = Field(
        ("csv",), description="Loggers to write to: csv (metrics.csv, always written), tensorboard, mlflow"
    )
    tracking_uri: str | None = Field(
        None, description="MLflow tracking URI (default: a file mlflow.db in the folder of the study, or of the run)"
    )
    experiment: str | None = Field(None, description="MLflow experiment name (default: the name of the data set)")

    @field_validator("names", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


def short_loggers(value: Any) -> Any:
    """Expand the short form `loggers: [tensorboard]` to `loggers: {names: [tensorboard]}`."""
    return {"names": value} if isinstance(value, list | tuple | str) else value
