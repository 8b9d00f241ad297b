"""Downloads the Kodak Lossless True Color Image Suite: 24 photographs of 768 x 512 or 512 x 768 pixels, 8-bit RGB.

    python data_scripts/download_kodak.py --output data/kodak

They are kodim01.png to kodim24.png, about 15 MB in all, from https://r0k.us/graphics/kodak/, which publishes no
checksums. The SHA-256 below are those that others list for the files of that address: frames-sg/j2k
(docs/benchmark-corpora.md) and M0574F4/noema-lab (src/noema_lab/ops/source/kodak.py), both on GitHub, list all 24 and
agree. 17 of them were also computed from copies of the files; those of 05, 08, 13, 19, 21, 23 and 24 were not. The
download itself has not been tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from commands import chosen, run
from fetching import Archive, announce, fetch

FOLDER = "https://r0k.us/graphics/kodak/kodak"
PAGE = "https://r0k.us/graphics/kodak/"
TERMS = "released by Eastman Kodak for unrestricted use, as that page understands it"
NUMBERS = range(1, 25)
SHA256 = {
    1: "a56e27cbf5f843c048b6af1d6e090760e9c92fadba88b7dee0205918a37523bd",
    2: "4f4b74a79237e311d72cad958237b5f7088d8bce1c82305ebefe1a70e3022dfd",
    3: "e25ca1ff2f0c0cb5fdfd5f9b0a0bb21ac4c3de3c84a67f35b09a85d3306249db",
    4: "e3b946107c5d3441c022f678d0c3caf1e224d81b1604ba840a4f88e562de61aa",
    5: "10349e963c5c813d327852f82c1795fa4148d69fedffc4c589bee458e3ac3d53",
    6: "363510303b715d4cbc384e1ce227e466b613a09e1b71ae985882bf8e7fbd9b18",
    7: "b77d3f006f42414bb242222e0482e750c0fb9e5ee8d4bed2f6f11c5605fe54a4",
    8: "ba23983c76b4832ee0e8af0592664756841a16779acd69f792e268fb6d13d6e7",
    9: "6a4361c2fc194feb4edaa9f9a4a0620fb9943e460ac7fdf037fb0f6dd6607a7d",
    10: "9dfb70f5867c29ff9ed6313683f19b3d867849e40fbc0c4c54a4a89df341cf23",
    11: "7936814b58b5387fce2e4e2488b4ec830dadd95fa9520f358ddb30990b50f2b6",
    12: "d78c37c2f04f23761ed2367dd77e2db584ddd4c3950833fecf89f199a8126980",
    13: "bc34a3ce58dea09dce1704c997171602de90cb34d0c8503a988b77f473d39b08",
    14: "55a94550ff18f3246c4074fd32b77b0c74447c26b6ad274d564d999c0450ba6e",
    15: "7538cbb80cb9103606c48b806eae57d56c885c7f90b9b3be70a41160f9cbb683",
    16: "a89c7268ccd4718ba424a99fc4643c572cf692ca6eae887185ceb4e9f11d2e54",
    17: "37afcc89fbdcb76d9518e04b2fc011027e2f4cd14b3b2f83cefd721641a47c5b",
    18: "1a9258c365988961d87a0598725b609139c303ad48a5aad6c503c3b1a87849aa",
    19: "b7450b264b1b0a411390d8931b112c27905a992520fc90569dc4b920aa32bbdc",
    20: "3b46c71e3b92a563820ba32936be8330c586c41f938efd94be938386aae4328a",
    21: "ac958597c82073f6bb65129c68f72b651db5b9efd82e11547d07350214bc268b",
    22: "1cee58eb1f2d9c7ebb254d208a03c783ce6cf2c4d8c2cf45e235dd23b4ce1b29",
    23: "e3111a2fd4da24af15d6459ef9eacfe54106b38e27b4a21821b75c3f5d2d5baf",
    24: "1071c68372cc5a01435c2c225a5cf7d4bb803846ec08bb6b3d6721b156d7cb96",
}
"""Of each image's file, by its number."""


@dataclass
class DownloadKodak:
    """Download the photographs of the Kodak suite; those that are there already are checked, and kept."""

    output: Path = Path("data/kodak")
    """Folder for the images. A kodimNN.png in it that is another file than the published one is removed."""
    images: tuple[int, ...] = ()
    """Numbers of the images to fetch, 1 to 24; all without this."""
    url: str | None = None
    """Another place to fetch the same files from: the address of the folder in which they are."""
    dry_run: bool = False
    """Only say what would be downloaded."""

    def run(self) -> Path | None:
        """Fetches and checks them, one after another."""
        numbers = chosen(self.images, NUMBERS)
        archives = [image(number, self.url or FOLDER, self.output) for number in numbers]
        others = "" if len(archives) == 1 else f" to {archives[-1].name} ({len(archives)} images)"
        announce(f"{archives[0].urls[0]}{others}", self.output, "SHA-256 of each image", TERMS, PAGE)
        if self.dry_run:
            return None
        for archive in archives:
            fetch(archive, self.output)
        return self.output


def image(number: int, url: str, folder: Path) -> Archive:
    """An image of the suite.

    Args:
        number: Which, 1 to 24.
        url: Of the folder in which it is.
        folder: Where it is to be put, should it be downloaded by hand.

    Returns:
        What fetch needs to know.
    """
    name = f"kodim{number:02}.png"
    return Archive(
        name=name,
        urls=(f"{url.rstrip('/')}/{name}",),
        checksum=f"sha256:{SHA256[number]}",
        terms=TERMS,
        page=PAGE,
        by_hand=f"put it into {folder}",
    )


if __name__ == "__main__":
    run(DownloadKodak)
