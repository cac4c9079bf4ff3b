"""Config: settings from several sources, merged, typed and reloaded while the program runs."""

from micro_rt.config.config import Config
from micro_rt.config.env import Env
from micro_rt.config.feed import SourceStatus
from micro_rt.config.files.source import File
from micro_rt.config.flags import Flags
from micro_rt.config.live import Changes, ConfigChange, Live
from micro_rt.config.memory import Memory
from micro_rt.config.secret import Secret
from micro_rt.config.showing import Setting

__all__ = [
    "Changes",
    "Config",
    "ConfigChange",
    "Env",
    "File",
    "Flags",
    "Live",
    "Memory",
    "Secret",
    "Setting",
    "SourceStatus",
]
