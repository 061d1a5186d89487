"""Changes on disk, each whole or not at all, each told; and whose files they are."""

import contextlib
import os
import stat

TEMPORARY = ".osirix-agent"


class InstallError(Exception):
    """What happened, and what to do about it."""

    def __init__(self, what, cure):
        self.what, self.cure = what, cure
        super().__init__(what + " " + cure)


@contextlib.contextmanager
def refusing():
    """What the system does not allow becomes an error that says what to do."""
    try:
        yield
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else "a file or folder"
        raise InstallError(
            "The system does not allow the change of %s (%s)." % (where, error.strerror or error),
            "Give yourself write permission there, or free some disk space, then repeat.",
        ) from None


def temporary(path):
    """Where a file is written before it takes its place; after a kill it may be left there."""
    return path.with_name(path.name + TEMPORARY)


def bytes_of(path):
    """Its content; None where it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def check_owner(path):
    """Raises InstallError when it is there and another user's."""
    try:
        owner = os.lstat(path).st_uid
    except FileNotFoundError:
        return
    if owner != os.getuid():
        raise InstallError(
            "%s belongs to another user." % path,
            "Run this as the user of OsiriX, without sudo; else ask an administrator to give it back to you (chown).",
        )


def check_plain(path, is_folder):
    """Raises InstallError when it is there and not the user's own plain file (or folder)."""
    if path.is_symlink() or (path.exists() and not (path.is_dir() if is_folder else path.is_file())):
        kind = "folder" if is_folder else "file"
        raise InstallError(
            "%s is not a plain %s." % (path, kind), "Put a real %s in its place, or remove it, then repeat." % kind
        )
    check_owner(path)


class Disk:
    """Carries out changes and tells each; with `dry_run` it only tells."""

    def __init__(self, tell, dry_run):
        self.tell, self.dry_run = tell, dry_run

    def write(self, path, data, mode=0o600, unless_changed_from=False):
        """Replace a file in one step, with its former mode where it had one.

        Parameters
        ----------
        unless_changed_from : bytes, None or False
            What must still be there (None: nothing) just before; False: whatever.
        """
        with contextlib.suppress(FileNotFoundError):
            mode = stat.S_IMODE(os.stat(path).st_mode)
        self.tell("write %s" % path)
        if self.dry_run:
            return
        handle = os.open(temporary(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(handle, rest) :]
                os.fchmod(handle, mode)
                os.fsync(handle)
            finally:
                os.close(handle)
            if unless_changed_from is not False and bytes_of(path) != unless_changed_from:
                raise InstallError("%s was changed meanwhile." % path, "Quit OsiriX, then repeat.")
            os.replace(temporary(path), path)
        except (OSError, InstallError):
            os.unlink(temporary(path))
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def make_folder(self, path, mode=0o700):
        if not path.exists():
            self.tell("make %s" % path)
            if not self.dry_run:
                os.mkdir(path, mode)

    def remove(self, path):
        if os.path.lexists(path) and not path.is_dir():
            self.tell("remove %s" % path)
            if not self.dry_run:
                os.unlink(path)

    def remove_folder(self, path):
        if path.is_dir() and (self.dry_run or not os.listdir(path)):
            self.tell("remove %s, if empty" % path)
            if not self.dry_run:
                os.rmdir(path)
