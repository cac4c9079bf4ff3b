"""``local:``: every process on this machine, in SQLite files of the state folder."""
