"""Files that come along with a bundle."""

from __future__ import annotations

import zipfile
from pathlib import Path


class ZipExtractor:
    """Takes the files out of a zip file that was made for a bundle.

    Args:
        zip_path: the zip file.

    Raises:
        FileNotFoundError: there is none.
    """

    def __init__(self, zip_path: Path | str) -> None:
        self.zip_path = Path(zip_path)
        if not self.zip_path.is_file():
            raise FileNotFoundError(f"There is no zip file {str(self.zip_path)!r}.")

    def extract(self, target_dir: Path | None = None) -> list[Path]:
        """Take all files out; those that are there are replaced.

        Args:
            target_dir: where to; the working directory unless given.

        Returns:
            the files.

        Raises:
            ValueError: a name in it leads out of the folder, or a file would have to take the place of a folder.
        """
        target = (target_dir or Path.cwd()).resolve()
        with zipfile.ZipFile(self.zip_path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            self._check(members, target)
            target.mkdir(parents=True, exist_ok=True)
            for member in members:
                archive.extract(member, target)
        return [target / member.filename for member in members]

    @staticmethod
    def _check(members: list[zipfile.ZipInfo], target: Path) -> None:
        for member in members:
            path = (target / member.filename).resolve()
            if not path.is_relative_to(target) or (member.external_attr >> 28) == 0xA:  # (a symbolic link)
                raise ValueError(
                    f"{member.filename!r} leads out of the folder that it is to be in: nothing was taken out."
                )
            if path.is_dir():
                raise ValueError(f"{member.filename!r} is a file in the zip file, and a folder in {str(target)!r}.")

    def cleanup(self) -> None:
        """Delete the zip file."""
        self.zip_path.unlink(missing_ok=True)
