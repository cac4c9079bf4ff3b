"""Config: settings from several sources, merged, typed and reloaded while the program runs."""
