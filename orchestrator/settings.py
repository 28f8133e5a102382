"""Settings: environment variables `TAGDESK_*`, each also readable from a file of its lower-case name in
the folder that `TAGDESK_SECRETS_DIR` names (Docker and systemd secrets).

Nothing is built at import: processes call `load_settings()` once and pass the result on.
"""

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIB = 1024 * 1024


class PictureSettings(BaseSettings):
    """What fetching, decoding and looking at pictures needs: no database and no queue, and a default for all.

    Durations are seconds, sizes bytes, confidences 0 … 1.
    """

    model_config = SettingsConfigDict(env_prefix="TAGDESK_", frozen=True, extra="ignore")

    blob_dir: Path | None = Field(None, description="uploaded pictures, by SHA-256")
    image_roots: Annotated[tuple[Path, ...], NoDecode] = ()
    fetch_allow: Annotated[tuple[str, ...], NoDecode] = ()

    raw_score_floor: float = Field(0.05, ge=0, le=1)

    max_image_bytes: int = 64 * MIB
    fetch_timeout: float = 20.0
    decode_timeout: float = 10.0
    decode_processes: int = Field(3, ge=1)
    inference_timeout: float = 10.0
    max_attempts: int = Field(5, ge=1, description="tries before a retryable error becomes a failure")
    retry_base: float = Field(2.0, gt=0, description="the longest first delay of a counted retry; it doubles")

    @field_validator("image_roots", "fetch_allow", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Comma-separated in the environment."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("fetch_allow")
    @classmethod
    def _known_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """An entry with a slash must be a CIDR; anything else is a host name."""
        for entry in value:
            if "/" in entry:
                ip_network(entry)
        return value


class Settings(PictureSettings):
    """All settings of all processes."""

    database_url: SecretStr = Field(description="mysql+asyncmy://user:password@host:port/database")
    redis_url: SecretStr = Field(description="redis://[:password@]host:port/0")
    redis_namespace: str = "tagdesk"
    triton_url: str = Field(description="Triton's gRPC address, host:port")
    triton_metrics_url: str | None = None
    triton_admin_key: SecretStr = SecretStr("")
    expect_gpu: bool = False

    model_repository: Path = Field(description="the folder Triton serves (a copy of the tracked tree)")
    blob_dir: Path = Field(description="uploaded pictures, by SHA-256")

    min_confidence_danbooru: float = Field(0.35, ge=0, le=1)
    min_confidence_custom: float = Field(0.60, ge=0, le=1)

    database_pool: int = Field(16, ge=1)
    claim_lease: float = Field(
        15.0, gt=0, description="a claim that was not renewed for so long may be taken over"
    )
    review_lease: float = Field(
        300.0, gt=0, description="how long a reviewer holds what was handed out, unless renewed"
    )
    sweep_interval: float = Field(2.0, gt=0)
    remap_after: float = Field(
        10.0, gt=0, description="seconds without another change of the rules before everything is re-mapped"
    )

    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="where a worker group or a keeper shows its metrics; None: nowhere",
    )

    secure_cookies: bool = False
    session_secret: SecretStr = SecretStr("")
    public_url: str | None = Field(None, description="how browsers reach the API; Origin must match")


def load_settings() -> Settings:
    """Read the settings of this process. Raises pydantic.ValidationError naming each wrong variable."""
    secrets = os.environ.get("TAGDESK_SECRETS_DIR")
    return Settings(_secrets_dir=secrets)


def load_picture_settings() -> PictureSettings:
    """Read what looking at pictures needs, on any host. Raises pydantic.ValidationError likewise."""
    return PictureSettings(_secrets_dir=os.environ.get("TAGDESK_SECRETS_DIR"))
