"""The source ``file:``: JSON, TOML and YAML files, alone or in a folder, read as they are at one moment."""

from micro_rt.config.files.source import File

__all__ = ["File"]
