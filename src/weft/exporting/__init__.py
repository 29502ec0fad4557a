"""`weft.export`: a program as text that needs no Weft."""

from weft.exporting.export import Exported, export

__all__ = ["Exported", "export"]
