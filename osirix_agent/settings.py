"""One Settings object. Command line > environment (OSIRIX_AGENT_*) > TOML file > default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from osirix_agent.errors import SettingsError
from osirix_agent.half_pixel import half_pixel_in_use

ALLOWED_LEVELS = (5, 25, 50, 75, 95)
MAX_NAME_LENGTH = 64


def default_state_dir() -> Path:
    """Folder for the journal, the ledger and the site key: readable by its owner only."""
    if os.uname().sysname == "Darwin":
        return Path.home() / "Library" / "Application Support" / "osirix-agent"
    return Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "osirix-agent"


def default_config_file() -> Path:
    return Path(os.environ.get("OSIRIX_AGENT_CONFIG", Path.home() / ".config" / "osirix-agent" / "config.toml"))


class Settings(BaseSettings):
    """Everything a site or a user may change. Units are in the names."""

    model_config = SettingsConfigDict(env_prefix="OSIRIX_AGENT_", extra="forbid", frozen=True)

    server: str | None = Field(None, description="host:port of the osirixgrpc server")
    ping_deadline_s: float = Field(2.0, gt=0)
    rpc_deadline_s: float = Field(10.0, gt=0, description="deadline of each call to OsiriX")
    state_dir: Path = Field(default_factory=default_state_dir)
    half_pixel_px: float = Field(
        default_factory=lambda known: half_pixel_in_use(known.get("state_dir", default_state_dir())),
        ge=0, le=1, description="OsiriX ROI coordinate of the centre of pixel (0, 0)",
    )  # fmt: skip
    structure: str = Field("GTV", description="structure addressed when a ROI names none")
    segmenter: str = Field(
        "auto",
        description="auto (the shipped model for what it was made for), model, classical or grpcs://host:port; "
        "a public model in model_dir: nninteractive, voxtell or sam",
    )
    pairing: Path = Field(
        default_factory=lambda known: known.get("state_dir", default_state_dir()) / "segmenter.pairing",
        description="pairing file for a segmenter on another machine",
    )
    remote_connect_s: float = Field(5.0, gt=0, description="until the segmenter's machine must have answered at all")
    remote_deadline_s: float = Field(60.0, gt=0, description="of each request to it, waiting for others included")
    remote_retry_s: float = Field(30.0, ge=0, description="how long a lost server is tried again before she is told")
    serve_memory_gb: float = Field(8.0, gt=0, description="served: volumes of all clients")
    serve_client_gb: float = Field(4.0, gt=0, description="served: volumes of one client")
    serve_sessions: int = Field(16, gt=0, description="served: sessions at once")
    serve_waiting: int = Field(8, gt=0, description="served: sessions that may wait for the device")
    serve_idle_s: float = Field(600.0, gt=0, description="served: a session without a request ends")
    serve_grace_s: float = Field(30.0, ge=0, description="served: to finish requests when stopped")
    model_dir: Path | None = Field(None, description="folder of the model and its adapters; none: the shipped one")
    calibration_dir: Path | None = Field(
        None, description="folder of a site's own calibration cards; none: those beside the models"
    )
    guess_orders: bool = Field(
        True, description="offer, to be confirmed, what a sentence that is not understood most likely asks for"
    )
    language_model_dir: Path | None = Field(
        None, description="folder of a local language model that guesses instead of what was learnt from sentences"
    )
    speech_model_dir: Path | None = Field(
        None, description="folder of a Whisper model in CTranslate2's format, which hears any sentence; none: commands"
    )
    speech_tuned: bool = Field(
        True, description="hear by what was learnt about dictation, where it was learnt for that Whisper model"
    )
    keep_speech_dir: Path | None = Field(None, description="studies: folder for what was said; none: it is not kept")
    device: str = Field("auto", description="where the model runs: auto, cpu, cuda or mps")
    isoline_levels: Annotated[tuple[int, ...], NoDecode] = (5, 50, 95)
    isolines_shown: bool = True
    isoline_slices: int = Field(2, ge=0, description="slices either side of the displayed one with isolines")
    remove_prompts_on_accept: bool = True
    export_dir: Path | None = Field(
        None, description="at every accept an RTSTRUCT of what is accepted goes here, one folder a session; none: not"
    )
    dicom_title: str = Field("OSIRIXAGENT", min_length=1, max_length=16, description="own title towards DICOM nodes")
    dicom_deadline_s: float = Field(
        30.0, gt=0, description="for each answer of a DICOM node, and for OsiriX's database"
    )
    watch_active_hz: float = Field(10.0, gt=0, le=50)
    watch_idle_hz: float = Field(1.0, gt=0, le=50)
    watch_idle_after_s: float = Field(5.0, ge=0)
    polygon_settle_s: float = Field(1.0, ge=0, description="a polygon drawn click by click must rest this long as well")
    panel_port: int = Field(0, ge=0, le=65535, description="of the companion page; 0 takes a free one")
    panel_opens: bool = Field(True, description="open the companion page in the browser")
    gaze: bool = Field(False, description="watch an eye tracker: how long she looks at each slice")
    gaze_stream: str | None = Field(None, description="name of its stream, where several trackers publish")
    clinician: str | None = Field(
        None, description="who contours, kept as a pseudonym only; none: the user who is logged in"
    )
    study_keeps_words: bool = Field(
        False, description="a study: the journal keeps what was said, as far as the grammar knows the words"
    )
    study_blind: bool = Field(
        False, description="a study: a proposal is shown once she has outlined the structure herself and says 'propose'"
    )
    study_arms: Literal["off", "session", "structure"] = Field(
        "off", description="a study: whether uncertainty is shown is drawn by lot, per session or per structure"
    )
    study_seed: str | None = Field(
        None, min_length=8, description="of those lots; never in a journal, and known to nobody who contours"
    )
    notify: bool = Field(True, description="desktop notifications (never with patient data)")

    @field_validator("structure")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not value.strip() or not value.isascii() or len(value) > MAX_NAME_LENGTH:
            raise ValueError(f"a structure's name is 1 to {MAX_NAME_LENGTH} ASCII characters (OsiriX garbles others)")
        return value.strip()

    @field_validator("isoline_levels", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(int(v) for v in value.split(",") if v.strip()) if isinstance(value, str) else value

    @field_validator("isoline_levels")
    @classmethod
    def _known_levels(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        unknown = [v for v in value if v not in ALLOWED_LEVELS]
        if unknown or 50 not in value:
            raise ValueError(f"levels are chosen from {ALLOWED_LEVELS} and must hold 50, not {value}")
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _seeded(self) -> Settings:
        if self.study_arms != "off" and self.study_seed is None:
            raise ValueError("study_arms needs study_seed, eight or more characters that nobody who contours knows")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        return (
            init_settings,
            env_settings,
            TomlConfigSettingsSource(settings_cls, toml_file=default_config_file()),
        )


def load_settings(**overrides: Any) -> Settings:
    """Settings with the command line's overrides (those that are not None) on top.

    Raises
    ------
    SettingsError
        A value that cannot be used, named with the rule it breaks.
    """
    try:
        return Settings(**{k: v for k, v in overrides.items() if v is not None})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        raise SettingsError(
            f"The setting '{where}' cannot be used: {first['msg']}.",
            f"Correct it on the command line, in OSIRIX_AGENT_{where.upper()} or in {default_config_file()}.",
        ) from None
    except ValueError as error:  # a TOML file that does not parse
        raise SettingsError(
            f"The settings file cannot be read: {error}.", f"Correct {default_config_file()} or remove it."
        ) from None
