"""One OsiriX viewer: find it, read it, watch it, paint on it."""
