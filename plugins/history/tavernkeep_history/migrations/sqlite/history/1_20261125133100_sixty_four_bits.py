from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE INDEX IF NOT EXISTS "idx_execution_e_executi_705ae5" ON "execution_events" ("execution_id", "last_seq");"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP INDEX IF EXISTS "idx_execution_e_executi_705ae5";"""


MODELS_STATE = (
    "eJztmm1v4jgQx7+KlVd3ElfxtNDdd8DRPW67IFH2tKvVKjKJAz4cO7Wdo2iP7352Qgh5PK"
    "ClLRXvYDz/xPnNMB7H/DTmWEjGV1f9fxCVXcKshfEB/DQodJH6kDdcAQb0vJ1BbZFwSgIB"
    "ekCWLzGjJtISEbhPheTQkmrcgUQgZbKRsDj2tKNW3TEXgVAAmAMgBdvrADmHEjiMELYECF"
    "pzwOQc8Q/KjjAHLhICzpCoAAgIpihwqQCLuR5XQ8i+0jOwmaWmgOnsOW7mU3zvI1OyGdJi"
    "dcvvP5QZU1vdR+iv32NMWkCgkKZA98YP7ectTAcjYifigG3tGNhNufICWxfPBlTeBL76Ga"
    "emxYjv0tjfW8m5ikQkwFRq6wxRxKFE+g6S+zoc1CdkE8EoQuFTxC7h9Hc0NnKgT3RQtTqc"
    "QGwzTHM4mph3/YlpGpmAR4qdsGxMFqM6WbBOHQ1gpqfw2/t6vdFo16uN1vW7Zrv97rp6rb"
    "npsexQex1OJqYVXipgNvg4GE70hJjKyDBltWEdaKCEoSqIUkzfwXwToYOCkJD9fywi8mXB"
    "iAxxNOJf1BsLR4x/+/s4iP6u6gL/ePiqzok88hTyVQH5SJLCPl3J0H5m4MsY3o66+squEP"
    "dEG/7qjLuDYWf87ZfPna+/BkOrzdDtaPgx8veYkDMeXMjofpv0OynqiuCDXjEz3P+8Gw0L"
    "Sn4sSXG3sSXBv2rFEueY9iX0NYwE/aHC3/ujM97CjzN72MtBry/QTaGPO5i8Rbc3hzyff1"
    "qXCoJ6pDOEb7jwwSSIzuRcfW01S4IRoW810+Q3I/VgaL3WTY6zyF1oE21REvwN4wjP6CcU"
    "Fp2BmiakFsohve1Zo4uN2fIM0a+jBIuscevF4XLbI2byTn2wEUEyTNfOXa/ze98IoE+htV"
    "hCbpsJ+nqE1VnKsvXNDrl1N22BVLXF9uZR9MRzY5C7sUgFaZ+txZ6bis5OY18BDmcuwKrl"
    "F/7UxULobp/RKzDBqqsHkCPgYqJKJFLAbeWFVXKB2vt2tQK+THrZXcSTX32fbYMvEN+EOb"
    "iRVNlsQnngxqG4hj1l5XrZfcMJ6lbZDmEnMPuy3pFclopC5EnEh/RDkf+lGXpEM6QWWenn"
    "tP/FaR0rTpXVL1dHaq09krrWKkxqPZTku2R84RC2NAPDAZgzwqNob1C+luxO0m5Uq3vgVl"
    "6FvIOxJHCPs7+RJQ+s1UnVBfVeqBMdSgZ22aubtPLy+ubo1zeqHPOjQpDQHRWA15bxL8Jf"
    "nw3ozdjhEUgrLzE4NgaIc6ZabeqwQ/rHpOpRXeQri8JzN5FLyKmaT04bWUx/V3Pp4B8B34"
    "MrwmBOtzNBDwWVZ0fyJnamJcgn/a+TcuSJ1/eRezoO53teVX1TlT5aM3PIM0YQpOVLbd6Z"
    "ldKdin20kX3mI6vR6DaR8t1BOqe/fO721UY2yH/lhGVZc5lT1su7yryafsIMr502w+u1Zr"
    "t53Wg1t4m9tZTlcwgzcxRS/Jo+pj7Vf8PJO5Ld6G4+jRGB0SlK0eFI4g8951nQM0cj66c/"
    "y1j/B5+A0Yk="
)
