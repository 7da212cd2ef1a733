"""Pictures from outside: what kind they are, by their content, and that they do not unpack to more than there is room for."""

import asyncio
import io
import warnings
from typing import Final

from tavernkeep import ApiError

_FORMATS: Final = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp"}


class CheckedPictures:
    """See `Pictures`."""

    endings = tuple(_FORMATS.values())

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    async def ending_of(self, data: bytes) -> str:
        """See `Pictures`."""
        return await asyncio.to_thread(self._ending_of, data)

    def _ending_of(self, data: bytes) -> str:
        from PIL import Image, UnidentifiedImageError  # late, as it would hold up the start of every server

        too_many = f"The picture has more than {self._max_pixels} pixels (guard.maxPicturePixels)."
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(data), formats=list(_FORMATS)) as picture:
                    if picture.width * picture.height > self._max_pixels:
                        raise ApiError(413, too_many)
                    kind = picture.format or ""
                    picture.verify()
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise ApiError(413, too_many) from None
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
            raise ApiError(415, "The picture is no JPEG, PNG, GIF or WebP, or it is broken.") from None
        return _FORMATS[kind]
