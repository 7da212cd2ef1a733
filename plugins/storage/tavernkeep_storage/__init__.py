"""The door to the database: what every SQL dialect has in common. The plugins that know one each (`storage_sqlite`) stand on this room.

`door` is what they subclass, `counts` what their connections count with, `values` what no column can hold.
"""
