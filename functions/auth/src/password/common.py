"""Makes common.bin, the list of passwords that attackers try first. Run it in this folder: `python3 common.py`.

It takes the union of two lists with their packages' names and versions below (NOTICE has their licences), through `pip`
and `npm` as they are set up where it runs. Kept is what has at least eight characters in Unicode normalisation form KC
and lower case: of each the first six bytes of its SHA-256 hash, sorted. The same versions make the same file.
"""

import gzip
import hashlib
import json
import pathlib
import subprocess
import tarfile
import tempfile
import unicodedata
import zipfile

DJANGO = "Django==5.2.19"
ZXCVBN = "@zxcvbn-ts/language-common@4.1.3"
SHORTEST = 8
PREFIX = 6


def of_django(folder):
    subprocess.run(["pip", "download", "--quiet", "--no-deps", "--dest", folder, DJANGO], check=True)
    (wheel,) = pathlib.Path(folder).glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        packed = files.read("django/contrib/auth/common-passwords.txt.gz")
    return [line.strip() for line in gzip.decompress(packed).decode().splitlines()]


def of_zxcvbn(folder):
    subprocess.run(["npm", "pack", "--silent", ZXCVBN], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (package,) = pathlib.Path(folder).glob("*.tgz")
    with tarfile.open(package) as files:
        return json.load(files.extractfile("package/src/passwords.json"))


def main():
    with tempfile.TemporaryDirectory() as folder:
        listed = of_django(folder) + of_zxcvbn(folder)
    folded = {unicodedata.normalize("NFKC", password).lower() for password in listed}
    kept = [password for password in folded if len(password) >= SHORTEST]
    prefixes = sorted({hashlib.sha256(password.encode()).digest()[:PREFIX] for password in kept})
    pathlib.Path("common.bin").write_bytes(b"".join(prefixes))
    print(f"{len(prefixes)} passwords")


if __name__ == "__main__":
    main()
